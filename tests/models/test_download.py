"""Downloads from a hub that breaks off, lies or is slow. The hub itself is in `tests/cli`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.models.choice import RemoteFile, RemoteModel
from tenuto.models.download import download, remaining
from tenuto.models.errors import ModelUnavailable
from tenuto.models.folder import ModelFolder, partial_of
from tenuto.models.hub import Broken, Content

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@dataclass
class Disk:
    free: int


def pieces_of(data: bytes, error: BaseException | None = None) -> Iterator[bytes]:
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]
    if error:
        raise error


class Source:
    """A hub in memory.

    Args:
        content: What it sends.
        errors: For each answer, after how many bytes which error comes; later ones are whole.
        whole: Whether it always begins at the first byte.
    """

    def __init__(
        self,
        content: bytes = CONTENT,
        errors: list[tuple[int, BaseException]] | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._content = content
        self._errors = errors or []
        self._whole = whole
        self.starts: list[int] = []

    @contextmanager
    def read(self, file: RemoteFile, start: int) -> Iterator[Content]:
        self.starts.append(start)
        begin = 0 if self._whole else start
        end, error = self._errors.pop(0) if self._errors else (len(self._content), None)
        data = self._content[begin : begin + end]
        yield begin, pieces_of(data, error)


def remote(content: bytes = CONTENT, path: str = "m.gguf") -> RemoteFile:
    return RemoteFile(path, len(content), hashlib.sha256(content).hexdigest())


def get(
    source: Source, folder: Path, *files: RemoteFile, reported: list[int] | None = None
) -> Path:
    model = RemoteModel(files or (remote(),))
    progress = reported.append if reported is not None else lambda _: None
    return download(source, model, "o/r", ModelFolder(folder), progress)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_download_writes_one_complete_file(tmp_path: Path) -> None:
    reported: list[int] = []
    path = get(Source(), tmp_path, reported=reported)
    assert path == tmp_path / "o" / "r" / "m.gguf"
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == [path]
    assert reported == sorted(reported)
    assert reported[-1] == len(CONTENT)


def test_complete_file_is_not_downloaded_again(tmp_path: Path) -> None:
    get(Source(), tmp_path)
    again = Source()
    get(again, tmp_path)
    assert again.starts == []


def test_file_with_another_length_is_downloaded_again(tmp_path: Path) -> None:
    get(Source(), tmp_path)
    newer = CONTENT + b"more"
    assert get(Source(newer), tmp_path, remote(newer)).read_bytes() == newer


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit()])
def test_next_run_resumes_after_any_interruption(tmp_path: Path, stop: BaseException) -> None:
    with pytest.raises(type(stop)):
        get(Source(errors=[(4000, stop)]), tmp_path)
    model = RemoteModel((remote(),))
    assert remaining(model, "o/r", ModelFolder(tmp_path)) == len(CONTENT) - 4000
    assert not (tmp_path / "o" / "r" / "m.gguf").exists()

    source = Source()
    assert get(source, tmp_path).read_bytes() == CONTENT
    assert source.starts == [4000]


def test_broken_connection_is_resumed(tmp_path: Path) -> None:
    source = Source(errors=[(3000, Broken("x")), (2000, Broken("x"))])
    assert get(source, tmp_path).read_bytes() == CONTENT
    assert source.starts == [0, 3000, 5000]


def test_short_response_is_resumed(tmp_path: Path) -> None:
    class Short(Source):
        @contextmanager
        def read(self, file: RemoteFile, start: int) -> Iterator[Content]:
            self.starts.append(start)
            yield start, pieces_of(CONTENT[start : start + 6000])

    source = Short()
    assert get(source, tmp_path).read_bytes() == CONTENT
    assert source.starts == [0, 6000]


def test_response_without_range_restarts_the_file(tmp_path: Path) -> None:
    source = Source(errors=[(3000, Broken("x"))], whole=True)
    assert get(source, tmp_path).read_bytes() == CONTENT


@given(st.lists(st.integers(0, len(CONTENT)), max_size=4), st.booleans())
def test_file_is_correct_after_any_breaks(
    tmp_path_factory: pytest.TempPathFactory, breaks: list[int], whole: bool
) -> None:
    source = Source(errors=[(after, Broken("x")) for after in breaks], whole=whole)
    folder = tmp_path_factory.mktemp("models")
    assert get(source, folder).read_bytes() == CONTENT


def test_download_without_progress_fails_and_keeps_the_partial_file(
    tmp_path: Path, no_waits: list[float]
) -> None:
    errors: list[tuple[int, BaseException]] = [(3000, Broken("x"))]
    errors += [(0, Broken("the hub answered with status 503"))] * 9
    with pytest.raises(
        ModelUnavailable, match=r"m\.gguf: .*503; run the command again to continue"
    ):
        get(Source(errors=errors), tmp_path)
    assert no_waits == [0.5, 1.0, 2.0, 4.0]
    assert [path.stat().st_size for path in files_in(tmp_path)] == [3000]


def test_checksum_mismatch_deletes_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="checksum"):
        get(Source(CONTENT[::-1]), tmp_path)
    assert files_in(tmp_path) == []


def test_damaged_partial_file_is_detected_by_the_checksum(tmp_path: Path) -> None:
    partial = partial_of(tmp_path / "o" / "r" / "m.gguf", remote().sha256 or "")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"?" * 500)
    with pytest.raises(ModelUnavailable, match="checksum"):
        get(Source(), tmp_path)
    assert get(Source(), tmp_path).read_bytes() == CONTENT


def test_partial_file_of_another_version_is_not_resumed(tmp_path: Path) -> None:
    other = CONTENT[::-1]
    with pytest.raises(KeyboardInterrupt):
        get(Source(other, [(4000, KeyboardInterrupt())]), tmp_path, remote(other))
    source = Source()
    assert get(source, tmp_path).read_bytes() == CONTENT
    assert source.starts == [0]


def test_overlong_partial_file_is_restarted(tmp_path: Path) -> None:
    partial = partial_of(tmp_path / "o" / "r" / "m.gguf", remote().sha256 or "")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT + b"?")
    assert get(Source(), tmp_path).read_bytes() == CONTENT


def test_bytes_over_the_announced_size_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="more than"):
        get(Source(CONTENT * 100), tmp_path)
    assert sum(path.stat().st_size for path in files_in(tmp_path)) <= len(CONTENT)


def test_file_stored_in_git_is_verified_by_its_git_checksum(tmp_path: Path) -> None:
    git = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    file = RemoteFile("m.gguf", len(CONTENT), None, git)
    assert get(Source(), tmp_path, file).read_bytes() == CONTENT
    with pytest.raises(ModelUnavailable, match="checksum"):
        get(Source(CONTENT[::-1]), tmp_path / "other", file)


def test_file_without_a_checksum_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no checksum"):
        get(Source(), tmp_path, RemoteFile("m.gguf", len(CONTENT), None))


def test_progress_covers_every_part(tmp_path: Path) -> None:
    parts = [remote(CONTENT, f"m-0000{number}-of-00002.gguf") for number in (1, 2)]
    with pytest.raises(KeyboardInterrupt):
        get(Source(errors=[(10**6, KeyboardInterrupt())]), tmp_path, *parts)
    reported: list[int] = []
    first = get(Source(), tmp_path, *parts, reported=reported)
    assert first.name == "m-00001-of-00002.gguf"
    assert [path.read_bytes() for path in sorted(files_in(tmp_path))] == [CONTENT, CONTENT]
    assert reported[-1] == 2 * len(CONTENT)


def test_too_little_disk_space_is_an_error_before_any_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(len(CONTENT) - 1))
    source = Source()
    with pytest.raises(ModelUnavailable, match=r"needs 10\.2 kB, and only 10\.2 kB"):
        get(source, tmp_path / "new" / "folder")
    assert source.starts == []
    assert files_in(tmp_path) == []


def test_disk_space_is_required_for_the_missing_bytes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        get(Source(errors=[(9000, KeyboardInterrupt())]), tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(len(CONTENT) - 9000))
    assert get(Source(), tmp_path).read_bytes() == CONTENT


def test_full_disk_keeps_the_partial_file(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with pytest.raises(ModelUnavailable, match="No space left on device; free some space"):
        get(Source(errors=[(3000, full)]), tmp_path)
    assert [path.stat().st_size for path in files_in(tmp_path)] == [3000]


def test_concurrent_download_of_one_file_is_rejected(tmp_path: Path) -> None:
    class Nested(Source):
        @contextmanager
        def read(self, file: RemoteFile, start: int) -> Iterator[Content]:
            with pytest.raises(ModelUnavailable, match="another process"):
                get(Source(), tmp_path)
            with super().read(file, start) as content:
                yield content

    assert get(Nested(), tmp_path).read_bytes() == CONTENT


def test_name_outside_the_folder_is_rejected_before_any_request(tmp_path: Path) -> None:
    source = Source()
    with pytest.raises(ModelUnavailable, match="outside"):
        get(source, tmp_path / "models", remote(path="../../../evil.gguf"))
    assert source.starts == []
    assert files_in(tmp_path) == []


def test_file_completed_by_another_process_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = Source(), ModelFolder(tmp_path)
    path = folder.place("o/r", "m.gguf")
    lock = fcntl.flock

    def flock(file: int, operation: int) -> None:
        # The other process has the file, and lets go of the lock.
        path.write_bytes(CONTENT)
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert download(source, RemoteModel((remote(),)), "o/r", folder, lambda _: None) == path
    assert source.starts == []
    assert list(path.parent.iterdir()) == [path]
