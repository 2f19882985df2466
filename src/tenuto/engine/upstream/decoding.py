"""Decompress responses: some upstreams compress them although `identity` is requested."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

_SLICE: Final = 64 * 1024
"""Most bytes of one slice, so that the reader of a decompression bomb can stop."""

_GZIP_START: Final = b"\x1f"


class NotReadable(Exception):
    """Data that is damaged, or in an encoding without a decoder, whose name is the argument."""


def decoder_for(encoding: str) -> Inflater | None:
    """Return the decoder for a `content-encoding`; None if the bytes are not compressed.

    Raises:
        NotReadable: The encoding has no decoder here.
    """
    match encoding.strip().lower():
        case "" | "identity" | "none":
            return None
        case "gzip" | "x-gzip" | "deflate" as name:
            return Inflater(name)
        case _:
            raise NotReadable(encoding)


class Inflater:
    """Decoder of `deflate`; any other encoding is gzip."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._is_plain = False
        self._ended = False

    def push(self, data: bytes) -> Iterator[bytes]:
        """Take compressed bytes; yield slices of what they decompress to.

        Raises:
            NotReadable: The data is damaged.
        """
        while data and not self._ended:
            if self._stream is None and not self._is_plain:
                self._stream = self._begin(data)
            if self._stream is None:
                self._is_plain = True  # A proxy decompressed the body and left the header.
                yield data
                return
            yield from self._inflate(self._stream, data)
            data = self._stream.unused_data
            if self._stream.eof:
                self._stream = None
                # A gzip file may have several members. Other bytes after the end are dropped.
                self._ended = self._encoding == "deflate" or data[:1] not in (b"", _GZIP_START)

    def _begin(self, data: bytes) -> zlib._Decompress | None:
        """Return a decompressor for the format of the first bytes; None if not compressed."""
        if self._encoding == "deflate":
            # The name means zlib's format, but many servers send the raw stream inside it.
            is_zlib = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
            return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return zlib.decompressobj(zlib.MAX_WBITS | 16) if data[:1] == _GZIP_START else None

    def _inflate(self, stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        while True:
            try:
                out = stream.decompress(data, _SLICE)
            except zlib.error:
                raise NotReadable(self._encoding) from None
            data = stream.unconsumed_tail
            if out:
                yield out
            # All input may be consumed while more output is pending.
            if stream.eof or (not data and len(out) < _SLICE):
                return
