"""A server of the API that answers by a script and records the requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Script:
    """Behaviour of the server.

    Attributes:
        texts: The text of each event.
        stop_reason: Why it ends.
        first_s: How long it waits before the first event.
        gap_s: How long it waits before each other.
        failures: What the next requests get instead: a status, `error` for an error event in the
            middle, or `break` for a stream that breaks off.
        held: While this is not set, answers wait after their first event.
        held_from: The number of the first request that waits so, from 0.
    """

    url: str = ""
    texts: tuple[str, ...] = (" one", " two", "", " three")
    stop_reason: str = "stop_sequence"
    first_s: float = 0.0
    gap_s: float = 0.0
    failures: list[int | str] = field(default_factory=list)
    held: threading.Event | None = None
    held_from: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[str]:
        return [body["prompt"] for body in self.bodies]


@contextmanager
def scripted_server() -> Iterator[Script]:
    class Handler(_Handler):
        script = Script()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Handler.script.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Handler.script
        finally:
            if Handler.script.held:
                Handler.script.held.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    script: Script
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_POST(self) -> None:
        script = self.script
        sent = self.rfile.read(int(self.headers["content-length"]))
        if len(sent) < int(self.headers["content-length"]):
            self.close_connection = True  # The client left.
            return
        body = json.loads(sent)
        with script.lock:
            script.bodies.append(body)
            script.keys.append(self.headers["x-api-key"])
            script.open += 1
            script.most_open = max(script.most_open, script.open)
            failure = script.failures.pop(0) if script.failures else None
            held = script.held if len(script.bodies) > script.held_from else None
        try:
            if isinstance(failure, int):
                self._refuse(failure)
            else:
                self._stream(failure, held)
        except BrokenPipeError:
            self.close_connection = True
        finally:
            with script.lock:
                script.open -= 1

    def _refuse(self, status: int) -> None:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        content = json.dumps({"type": "error", "error": error}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, failure: str | None, held: threading.Event | None) -> None:
        script = self.script
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self._event("ping", {"type": "ping"})
        for number, text in enumerate(script.texts):
            time.sleep(script.gap_s if number else script.first_s)
            self._event("completion", {"completion": text, "stop_reason": None})
            if held:
                held.wait()
            if failure == "break":
                self.close_connection = True
                return
            if failure == "error":
                self._event("error", {"error": {"type": "api_error", "message": "x"}})
                break
        else:
            self._event("completion", {"completion": "", "stop_reason": script.stop_reason})
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, name: str, data: dict[str, Any]) -> None:
        content = f"event: {name}\r\ndata: {json.dumps(data)}\r\n\r\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
