"""Start an `xllamacpp.Server`, and call the routes that only its HTTP port has."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from tenuto.engine.local.runtime import CannotLoad, TextRefused

_RESPONSE_TIMEOUT_S: Final = 60.0

# The regular expressions of some pre-tokenisers take up to 400 bytes of stack for each letter
# without a break: the usual 8 MiB overflow with 26,000 letters, which ends the process. Here:
# 512 bytes for each of 524,288 letters. Unused stack takes no memory.
_STACK_BYTES: Final = 256 * 1024 * 1024
# More than the size of any pthread_attr_t.
_ATTRIBUTE_BYTES: Final = 256
# Text that a pre-tokeniser may take as a whole.
_RUN: Final = re.compile(r"\s++|\d++|[^\s\d]++")
_LONGEST_RUN: Final = 500_000

_REASON: Final = re.compile(rb"error loading model: (.+)")
_REASON_TIMEOUT_S: Final = 0.5
_REASON_PAUSE_S: Final = 0.05


class LlamaServer:
    """A running server with a private HTTP port.

    The library always listens, and offers tokenisation only there. So the server listens on
    loopback, on a free port, below a random path, and requires a random key.

    Raises:
        CannotLoad: The library cannot read the model.
    """

    def __init__(self, xllamacpp: Any, params: Any) -> None:
        self._prefix, self._key = f"/{secrets.token_hex(16)}", secrets.token_urlsafe(32)
        params.hostnames, params.port = ["127.0.0.1"], 0
        params.api_prefix, params.api_keys = self._prefix, [self._key]
        params.n_threads_http = 2
        params.ui = params.endpoint_slots = False
        params.endpoint_metrics = True
        with _stderr() as output, _deep_stacks():
            try:
                self._server = xllamacpp.Server(params)
            except RuntimeError:
                raise CannotLoad(f"llama.cpp cannot load this model: {_reason(output)}") from None
        # Waits for its loop: a server that is dropped before its loop runs never ends.
        self._server.handle_metrics()
        address = urlsplit(self._server.listening_address)
        self._host, self._port = address.hostname or "", address.port

    def complete(self, body: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        """Run one completion until it has ended, or `on_chunk` has returned True."""
        self._server.handle_completions(body, on_chunk)

    def request(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the response to a GET, or to a POST with a body.

        Raises:
            RuntimeError: Its status is not 200.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_RESPONSE_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(
                "GET" if body is None else "POST",
                self._prefix + path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise RuntimeError(f"llama.cpp answers {path} with status {response.status}")
            return json.loads(response.read())


def check_runs(text: str) -> None:
    """Refuse text that would overflow the stack.

    Raises:
        TextRefused: It has too many characters without a break.
    """
    if len(text) <= _LONGEST_RUN:
        return
    if any(run.end() - run.start() > _LONGEST_RUN for run in _RUN.finditer(text)):
        raise TextRefused(
            f"prompt: more than {_LONGEST_RUN:,} characters follow each other without a break, "
            "which the runtime llamacpp cannot tokenise. Break them with spaces or newlines."
        )


@contextlib.contextmanager
def _deep_stacks() -> Iterator[None]:
    """Give threads that start meanwhile a large stack, where the C library supports it."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "pthread_setattr_default_np"):
        yield
        return
    usual = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    deep = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    library.pthread_getattr_default_np(usual)
    library.pthread_getattr_default_np(deep)
    library.pthread_attr_setstacksize(deep, ctypes.c_size_t(_STACK_BYTES))
    library.pthread_setattr_default_np(deep)
    try:
        yield
    finally:
        library.pthread_setattr_default_np(usual)


@contextlib.contextmanager
def _stderr() -> Iterator[BinaryIO]:
    """Capture the stderr of C code, the only place where the library reports its errors."""
    # In memory if possible, so that no folder must be writable.
    memory = hasattr(os, "memfd_create")
    with (
        os.fdopen(os.memfd_create("stderr"), "w+b") if memory else tempfile.TemporaryFile()
    ) as output:
        stderr = os.dup(2)
        os.dup2(output.fileno(), 2)
        try:
            yield output
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _reason(output: BinaryIO) -> str:
    # The library's logger has a thread of its own, and may be late.
    until = time.monotonic() + _REASON_TIMEOUT_S
    while time.monotonic() < until:
        output.seek(0)
        reason = _REASON.search(output.read())
        if reason:
            return reason[1].decode("utf-8", "replace").strip()
        time.sleep(_REASON_PAUSE_S)
    return "it reports no reason"
