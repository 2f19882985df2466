"""The check and the changes of whole cassettes."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tenuto.cassette.exchange import Exchange, InvalidLine, stored_key
from tenuto.cassette.file import CassetteError, CassetteReader
from tenuto.cassette.scrubbing import Scrubber


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of one line, without the line's content."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a change: recordings written, those changed or left out, and damaged lines."""

    written: int
    changed: int
    damaged: int


@contextmanager
def reading(path: Path) -> Iterator[CassetteReader]:
    """Open a cassette.

    Raises:
        CassetteError: It cannot be read.
    """
    try:
        reader = CassetteReader(path)
    except OSError as error:
        raise CassetteError(f"{path}: {error.strerror}") from None
    try:
        yield reader
    except IsADirectoryError as error:
        raise CassetteError(f"{path}: {error.strerror}") from None
    finally:
        reader.close()


def findings_of(path: Path, scrubber: Scrubber) -> Iterator[Finding]:
    """Yield the faults of a cassette: damage, wrong keys, secrets.

    Raises:
        CassetteError: The file cannot be read.
    """
    with reading(path) as reader:
        for place, exchange in reader.exchanges():
            if isinstance(exchange, InvalidLine):
                yield Finding(place.number, str(exchange))
                continue
            if stored_key(reader.line(place)) != exchange.key:
                yield Finding(place.number, "has a key that is not that of its request")
            if exchange.scrubbed(scrubber) != exchange:
                yield Finding(place.number, "holds a secret: use `tenuto cassette scrub`")


def scrub(path: Path, target: Path, scrubber: Scrubber) -> Result:
    """Write a cassette without secrets, with the keys of the changed requests.

    `target` may be the same file, which is then replaced at once. Damaged lines are left out,
    because nothing is known about their content.

    Raises:
        CassetteError: The file cannot be read, has no recording but damaged lines, or a server
            records into it; or the target is another file that exists, or cannot be written.
    """
    if target != path and os.path.lexists(target):
        raise CassetteError(f"{target}: exists; write into a new file")
    changed = damaged = 0
    with reading(path) as reader, _locked(reader), replacing(target) as file:
        written = 0
        for _, exchange in reader.exchanges():
            if isinstance(exchange, InvalidLine):
                damaged += 1
                continue
            scrubbed = exchange.scrubbed(scrubber)
            changed += scrubbed != exchange
            file.write(scrubbed.line())
            written += 1
        if damaged and not written:
            # A file of another kind stays.
            raise CassetteError(f"{path}: has no recording; is it a cassette?")
    return Result(written, changed, damaged)


def merge(sources: Sequence[Path], target: Path) -> Result:
    """Write the recordings of several cassettes, in the order of their starts, into a new file.

    Of equal lines one is kept. Only places and times are in memory.

    Raises:
        CassetteError: A file cannot be read, or the target exists or cannot be written.
    """
    if os.path.lexists(target):
        raise CassetteError(f"{target}: exists; merge into a new file")
    with ExitStack() as stack:
        readers = [stack.enter_context(reading(source)) for source in sources]
        found = []
        damaged = 0
        for reader in readers:
            for place, exchange in reader.exchanges():
                if isinstance(exchange, InvalidLine):
                    damaged += 1
                else:
                    found.append((exchange.at, reader, place))
        found.sort(key=lambda each: each[0])
        with replacing(target) as file:
            lines = (reader.at(place) for _, reader, place in found)
            written = _write_once(lines, file)
    return Result(written, len(found) - written, damaged)


def _write_once(exchanges: Iterable[Exchange], file: BinaryIO) -> int:
    """Write exchanges that are sorted by time, each once. Return their number."""
    at, equal, written = "", set[bytes](), 0
    for exchange in exchanges:
        if exchange.at != at:
            at, equal = exchange.at, set()
        line = exchange.line()
        if line not in equal:
            equal.add(line)
            file.write(line)
            written += 1
    return written


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Write a file of mode 600 that replaces the target at once; after an error the target stays.

    A symbolic link stays, and the file is replaced that it leads to.

    Raises:
        CassetteError: The target is no regular file, or cannot be written.
    """
    path = Path(os.path.realpath(target))
    if path.exists() and not path.is_file():
        raise CassetteError(f"{target}: is not a regular file")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tenuto-", delete=False) as file:
            try:
                yield file  # type: ignore[misc]
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)  # noqa: PTH105
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)  # noqa: PTH108
                raise
    except OSError as error:
        raise CassetteError(f"{target}: {error.strerror}") from None


@contextmanager
def _locked(reader: CassetteReader) -> Iterator[None]:
    """Keep servers from recording into the cassette meanwhile: their lines would be lost."""
    try:
        fcntl.flock(reader.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CassetteError(f"{reader.path}: a server records into this cassette") from None
    yield
