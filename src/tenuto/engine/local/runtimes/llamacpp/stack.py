"""Stack of llama.cpp's threads, which some pre-tokenisers use by recursion.

Their regular expressions take up to 400 bytes of stack for each letter without a break: the usual
8 MiB overflow with 26,000 letters, which ends the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Iterator
from typing import Final

from tenuto.engine.local.runtime import TextRefused

# 512 bytes for each of 524,288 letters; and more than the size of any pthread_attr_t.
_STACK_BYTES: Final = 256 * 1024 * 1024
_ATTRIBUTE_BYTES: Final = 256

# Text that a pre-tokeniser may take as a whole.
_RUN: Final = re.compile(r"\s++|\d++|[^\s\d]++")
_LONGEST_RUN: Final = 500_000


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
def deep_stacks() -> Iterator[None]:
    """Give threads that start meanwhile a large stack, where the C library supports it.

    Unused stack takes no memory.
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
