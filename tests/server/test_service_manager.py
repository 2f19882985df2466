"""Notifications to systemd."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tenuto.server.service_manager import ServiceManager
from tests.server.test_log import logged

pytestmark = pytest.mark.anyio


class Systemd:
    """The end of systemd."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.environment: dict[str, str] = {"NOTIFY_SOCKET": address}

    def received(self) -> list[dict[str, str]]:
        """Return the assignments of each datagram so far."""
        datagrams = []
        try:
            while True:
                lines = self.socket.recv(4096).decode().split("\n")
                datagrams.append(dict(line.split("=", 1) for line in lines))
        except BlockingIOError:
            return datagrams


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = f"@tenuto-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "s")
    end = Systemd(address)
    yield end
    end.socket.close()


def test_reload_is_framed_as_systemd_requires(systemd: Systemd) -> None:
    manager = ServiceManager(systemd.environment)
    manager.reloading()
    manager.reloaded("Not yet.")
    manager.ready("Answers with x.")
    before = time.monotonic_ns() // 1000
    manager.reloading()
    manager.reloaded("Line\none.")
    manager.stopping(2.5)
    early, ready, reloading, reloaded, stopping = systemd.received()
    # Before the model is loaded, READY would end the start.
    assert early == {"STATUS": "Not yet."}
    assert ready == {"READY": "1", "STATUS": "Answers with x."}
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert reloaded == {"READY": "1", "STATUS": "Line one."}
    assert stopping["STOPPING"] == "1"
    assert stopping["EXTEND_TIMEOUT_USEC"] == "2500000"


async def test_loading_extends_the_start_and_the_event_loop_feeds_the_watchdog(
    systemd: Systemd,
) -> None:
    manager = ServiceManager(systemd.environment | {"WATCHDOG_USEC": "40000"})
    async with manager.attended():
        seen: list[dict[str, str]] = []
        async with asyncio.timeout(10):
            while sum("WATCHDOG" in each for each in seen) < 3:
                seen += systemd.received()
                await asyncio.sleep(0.01)
        assert all("EXTEND_TIMEOUT_USEC" in each for each in seen if "WATCHDOG" in each)
        manager.ready("Answers with x.")
        await asyncio.sleep(0)
        systemd.received()
        # A blocked event loop is missed.
        time.sleep(0.1)  # noqa: ASYNC251
        assert systemd.received() == []
        async with asyncio.timeout(10):
            while not (later := systemd.received()):
                await asyncio.sleep(0.01)
        assert later[0] == {"WATCHDOG": "1"}


async def test_watchdog_of_another_process_is_ignored(systemd: Systemd) -> None:
    other = {"WATCHDOG_USEC": "40000", "WATCHDOG_PID": "1"}
    async with ServiceManager(systemd.environment | other).attended():
        await asyncio.sleep(0.05)
    assert not any("WATCHDOG" in each for each in systemd.received())


async def test_lost_service_manager_is_logged(tmp_path: Path) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    with logged() as lines:
        manager.ready("Answers with x.")
    assert "systemd could not be notified: No such file or directory" in lines[0]


async def test_without_systemd_nothing_runs() -> None:
    manager, tasks = ServiceManager({}), asyncio.all_tasks()
    async with manager.attended():
        manager.ready("Answers with x.")
        assert asyncio.all_tasks() == tasks
