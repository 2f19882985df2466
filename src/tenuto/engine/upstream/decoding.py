"""Compressed answers: servers send them although they are asked not to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

_SLICE: Final = 64 * 1024
"""Most bytes given at once, so that the reader of a decompression bomb can stop."""

_GZIP_START: Final = b"\x1f"


class NotReadable(Exception):
    """The bytes are not what their encoding says, or there is no decoder for it here.

    Args:
        encoding: What they are said to be.
    """

    def __init__(self, encoding: str) -> None:
        super().__init__(encoding)
        self.encoding = encoding


class Decoder(Protocol):
    """Compressed bytes in, as they come; slices of what they stand for out."""

    def push(self, data: bytes) -> Iterator[bytes]:
        """Take some bytes.

        Raises:
            NotReadable: They are damaged.
        """
        ...


def decoder_for(encoding: str) -> Decoder | None:
    """The decoder for a `content-encoding`; None if the bytes are what they stand for.

    Raises:
        NotReadable: There is none here.
    """
    match encoding.strip().lower():
        case "" | "identity" | "none":
            return None
        case "gzip" | "x-gzip" | "deflate" as name:
            return _Inflater(name)
        case _:
            raise NotReadable(encoding)


class _Inflater:
    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._is_plain = False
        self._ended = False

    def push(self, data: bytes) -> Iterator[bytes]:
        while data and not self._ended:
            if self._is_plain:
                yield data
                return
            if self._stream is None and not self._begin(data):
                continue
            assert self._stream is not None
            yield from self._inflate(data)
            data = self._stream.unused_data
            if self._stream.eof:
                self._stream = None
                # A file of gzip may have several members. Other bytes behind the end say nothing.
                self._ended = self._encoding == "deflate" or data[:1] not in (b"", _GZIP_START)

    def _begin(self, data: bytes) -> bool:
        """Choose how to read the first bytes. Whether they are compressed at all."""
        if self._encoding == "deflate":
            # Zlib's format is meant, and many servers send what is inside it alone.
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        elif data[:1] == _GZIP_START:
            self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        else:
            self._is_plain = True  # A proxy took the compression away and left the header.
        return not self._is_plain

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        assert self._stream is not None
        while True:
            try:
                out = self._stream.decompress(data, _SLICE)
            except zlib.error:
                raise NotReadable(self._encoding) from None
            data = self._stream.unconsumed_tail
            if out:
                yield out
            # All input may be taken while there is more to come of it.
            if self._stream.eof or (not data and len(out) < _SLICE):
                return
