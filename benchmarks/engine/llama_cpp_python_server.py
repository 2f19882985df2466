"""llama-cpp-python behind the route of llama.cpp's server: model, port, threads.

It computes one completion at a time, so requests wait for each other. Runs in a Python of its own
that need not have Tenuto.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llama_cpp import Llama as Untyped  # pyright: ignore[reportMissingImports]

Llama: Any = Untyped

_CONTEXT = 2048


def main() -> None:
    """Serve until killed."""
    model, port, threads = sys.argv[1:]
    llama = Llama(
        model_path=model,
        n_ctx=_CONTEXT,
        n_threads=int(threads),
        n_threads_batch=int(threads),
        verbose=False,
    )
    turn = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with turn:
                self.send_response(200)
                self.end_headers()
                for piece in llama.create_completion(
                    body["prompt"],
                    max_tokens=body["n_predict"],
                    temperature=body["temperature"],
                    stream=True,
                ):
                    (choice,) = piece["choices"]
                    self._event(choice["text"], 0)
                # No token of the model ends it, so it has as many as were asked for.
                self._event("", body["n_predict"])

        def _event(self, text: str, tokens: int) -> None:
            event = {"content": text, "stop": tokens > 0, "tokens_predicted": tokens}
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    _Server(("127.0.0.1", int(port)), Handler).serve_forever()


class _Server(ThreadingHTTPServer):
    # Connections that come while none is accepted; by default so few that bursts are refused.
    request_queue_size = 128


if __name__ == "__main__":
    main()
