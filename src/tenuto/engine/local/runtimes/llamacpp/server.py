"""An `xllamacpp.Server`: how it is started, and asked what only its HTTP port answers."""

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

from tenuto.engine.local.runtime import CannotLoad

_ANSWER_S: Final = 60.0

# 512 bytes for each of 524,288 letters. The other: more than a pthread_attr_t has anywhere.
_STACK_BYTES: Final = 256 * 1024 * 1024
_ATTRIBUTE_BYTES: Final = 256

_REASON: Final = re.compile(rb"error loading model: (.+)")
_REASON_S: Final = 0.5
_REASON_PAUSE_S: Final = 0.05


class LlamaServer:
    """A running server, with its HTTP port behind a lock.

    The library always listens, and tokenises nowhere else. So it listens on loopback only, on
    any free port, below a path that nobody guesses, for a key that nobody has.

    Args:
        xllamacpp: The library.
        params: Its `CommonParams`: the model and its sizes.

    Raises:
        CannotLoad: It cannot read the model.
    """

    def __init__(self, xllamacpp: Any, params: Any) -> None:
        self._prefix, self._key = f"/{secrets.token_hex(16)}", secrets.token_urlsafe(32)
        params.hostnames, params.port = ["127.0.0.1"], 0
        params.api_prefix, params.api_keys = self._prefix, [self._key]
        params.n_threads_http = 2
        params.ui = params.endpoint_slots = False
        params.endpoint_metrics = True
        with _stderr() as heard, _deep_stacks():
            try:
                self._server = xllamacpp.Server(params)
            except RuntimeError:
                raise CannotLoad(f"llama.cpp cannot load this model: {_reason(heard)}") from None
        # A server that is dropped before its loop runs never ends; this is answered by the loop.
        self._server.handle_metrics()
        address = urlsplit(self._server.listening_address)
        self._host, self._port = address.hostname or "", address.port

    def complete(self, body: dict[str, Any], hear: Callable[[dict[str, Any]], bool]) -> None:
        """Writes one completion; returns when it has ended, or `hear` has returned True."""
        self._server.handle_completions(body, hear)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the server answers to a GET, or to a POST with a body.

        Raises:
            RuntimeError: It refuses.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_ANSWER_S)
        with contextlib.closing(connection):
            connection.request(
                "GET" if body is None else "POST",
                self._prefix + path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise RuntimeError(f"llama.cpp answers {path} with status {answer.status}")
            return json.loads(answer.read())


@contextlib.contextmanager
def _deep_stacks() -> Iterator[None]:
    """Gives threads that are started meanwhile a large stack, where the C library can.

    The regular expressions of some pre-tokenisers take up to 400 bytes of stack for each letter
    without a break: the usual 8 MiB overflow with 26,000. Memory is taken only where it is used.
    """
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
    """Catches what C code writes to stderr: only there the library says why it fails."""
    with _unnamed_file() as heard:
        stderr = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            yield heard
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _unnamed_file() -> BinaryIO:
    """Opens a file that has no name; in memory where the system can, so that none is needed."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


def _reason(heard: BinaryIO) -> str:
    # The library's logger has a thread of its own, and may need a moment.
    until = time.monotonic() + _REASON_S
    while time.monotonic() < until:
        heard.seek(0)
        reason = _REASON.search(heard.read())
        if reason:
            return reason[1].decode("utf-8", "replace").strip()
        time.sleep(_REASON_PAUSE_S)
    return "it does not say why"
