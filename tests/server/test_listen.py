"""Addresses to listen on, as people write them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tenuto.core.addresses import is_loopback
from tenuto.server.listening import CannotListen, in_brackets, listen
from tenuto.settings import ServerSettings


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@contextmanager
def listener_on(host: str) -> Iterator[socket.socket]:
    with listen(ServerSettings(host=host, port=0), insecure=True) as listener:
        yield listener


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]", "0:0:0:0:0:0:0:0"])
def test_wildcard_address_listens_on_ipv4_and_ipv6(host: str) -> None:
    with listener_on(host) as listener:
        port = listener.getsockname()[1]
        assert connects("127.0.0.1", port)
        assert connects("::1", port)


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_brackets_of_a_host_are_removed(host: str) -> None:
    assert is_loopback(host)
    with listen(ServerSettings(host=host, port=0)) as listener:
        assert listener.getsockname()[0] == "::1"


def names(monkeypatch: pytest.MonkeyPatch, **addresses: list[str]) -> None:
    """Resolve only these names."""
    known = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in addresses:
            return known(host, port, *args, **options)
        return [entry for one in addresses[host] for entry in known(one, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@needs_ipv6
def test_name_with_only_ipv6_listens_on_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, six=["::1"])
    with listener_on("six") as listener:
        assert listener.getsockname()[0] == "::1"


@needs_ipv6
def test_name_with_both_families_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, both=["::1", "127.0.0.1"])
    with listener_on("both") as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["nosuch.invalid", "[nosuch.invalid]", "1.2.3.4.5", "a b"])
def test_unknown_host_name_is_an_error(host: str) -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on .*:0: the host name is unknown$"):
        listen(ServerSettings(host=host, port=0), insecure=True)


@pytest.mark.parametrize("host", ["x" * 70 + ".invalid", "é" * 300])
def test_invalid_host_name_is_a_one_line_error(host: str) -> None:
    with pytest.raises(CannotListen, match="host name"):
        listen(ServerSettings(host=host, port=0), insecure=True)


def test_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        listen(ServerSettings(host="192.0.2.1", port=0), insecure=True)


@needs_ipv6
def test_an_address_in_an_error_has_its_brackets() -> None:
    with listen(ServerSettings(host="::1", port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"cannot listen on \[::1\]:{port}: Address"):
            listen(ServerSettings(host="::1", port=port))


def test_addresses_are_printed_as_in_a_url() -> None:
    assert [in_brackets(host) for host in ("::1", "[::1]", "127.0.0.1", "localhost")] == [
        "[::1]",
        "[::1]",
        "127.0.0.1",
        "localhost",
    ]
