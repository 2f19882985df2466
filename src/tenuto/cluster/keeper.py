"""Keep one node running on this machine: start it, watch it, start it again, drain it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenuto.cluster import node_process
from tenuto.engine.nodes.report import HEADER, LoadReport, parse_report

_LOOK_S: Final = 0.5
_SECOND_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 30.0
# A node that answered once and is then silent for this long hangs.
_SILENCE_S: Final = 60.0
# Direct, because a proxy of the machine is not for its own nodes.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Sight:
    """The state of a node, as its keeper sees it.

    Attributes:
        address: Where it serves; empty before its first start.
        ready: It answers and takes requests.
        draining: It ends soon.
        ended: It has ended after a drain, and is not started again.
        waiting: Requests in its queue.
        waiting_tokens: Tokens of their prompts.
        kv_used: The used part of its KV cache, 0 to 1.
        trouble: Why it does not run; empty if it does.
    """

    address: str = ""
    ready: bool = False
    draining: bool = False
    ended: bool = False
    waiting: int = 0
    waiting_tokens: int = 0
    kv_used: float = 0.0
    trouble: str = ""


def ask(address: str) -> tuple[bool, bool, LoadReport | None]:
    """Return whether a node answers, whether it is ready, and its load."""
    try:
        with _OPENER.open(f"{address}/ready", timeout=5) as response:
            return True, response.status == 200, parse_report(response.headers.get(HEADER, ""))
    except urllib.error.HTTPError as error:
        error.close()
        return True, False, None
    except (OSError, ValueError):
        return False, False, None


class Keeper:
    """The keeper of one node. Its thread works until the node has been drained.

    Args:
        folder: Of the node on this machine.
        arguments: Of `tenuto serve`.
        host: The address to listen on.
        ports: The first and the last port to use.
        generation: Of the plan.
        grace_s: Time for running completions to end in a drain, in seconds.
        variables: The environment of the node; None for that of this process.
        clock: The time in seconds.
        probe: Returns whether a node answers, whether it is ready, and its load.
    """

    def __init__(
        self,
        folder: str,
        arguments: Sequence[str],
        host: str,
        ports: tuple[int, int],
        generation: int,
        grace_s: float,
        variables: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        probe: Callable[[str], tuple[bool, bool, LoadReport | None]] = ask,
    ) -> None:
        self._clock, self._probe = clock, probe
        self._folder = Path(folder)
        self._arguments = (*arguments, "--grace", f"{grace_s:g}")
        self._host, self._ports = host, range(ports[0], ports[1] + 1)
        self._generation, self._grace_s = generation, grace_s
        self._variables = {
            **(os.environ if variables is None else variables),
            # A front looks once a second, and has to learn of the drain first.
            "TENUTO_SERVER_DRAIN_DELAY_S": "3",
        }
        self._process = node_process.adopted(self._folder)
        self._sight = Sight(self._process.address if self._process else "")
        self._drain = threading.Event()
        self._stopped = threading.Event()
        self._pause_s, self._next_start, self._last_answer = 1.0, 0.0, clock()
        self._answered = self._process is not None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def sight(self) -> Sight:
        """Return how the node is."""
        return self._sight

    def drain(self) -> None:
        """Let the node end when its running completions have ended."""
        self._drain.set()

    def leave(self) -> None:
        """End the thread, and let the node run on."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not (self._stopped.is_set() or self._drain.is_set()):
            self._look()
            self._drain.wait(_LOOK_S)
        if self._stopped.is_set():
            return
        process = self._process
        self._sight = Sight(process.address if process else "", draining=True)
        if process:
            process.send(signal.SIGTERM)
            latest = time.monotonic() + self._grace_s + 30
            while self._runs() and time.monotonic() < latest:
                time.sleep(0.1)
            process.kill()
            with contextlib.suppress(OSError):
                (self._folder / "node.json").unlink()
        self._sight = Sight(draining=True, ended=True)

    def _runs(self) -> bool:
        return self._process is not None and self._process.alive

    def _look(self) -> None:
        now = self._clock()
        if not self._runs():
            self._start(now)
            return
        assert self._process is not None
        answered, ready, load = self._probe(self._process.address)
        if answered:
            self._last_answer, self._answered = now, True
        if ready:
            self._pause_s = 1.0
        elif self._answered and now - self._last_answer > _SILENCE_S:
            self._process.kill()
        waiting, tokens, used = (
            (load.waiting, load.waiting_tokens, load.kv_used) if load else (0, 0, 0.0)
        )
        again = self._pause_s > _SECOND_PAUSE_S and not ready
        trouble = f"ends by itself, see {self._folder}/node.log on its machine" if again else ""
        self._sight = Sight(
            *(self._process.address, ready),
            waiting=waiting,
            waiting_tokens=tokens,
            kv_used=used,
            trouble=trouble,
        )

    def _start(self, now: float) -> None:
        if now < self._next_start:
            return
        self._next_start = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._last_answer, self._answered = now, False
        try:
            self._process = node_process.start(
                *(self._folder, self._arguments, self._host, self._ports, self._generation),
                self._variables,
            )
        except OSError as error:
            self._sight = Sight(trouble=str(error))
        else:
            self._sight = Sight(self._process.address)
