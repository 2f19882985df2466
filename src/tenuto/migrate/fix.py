"""The rewrite of files: what changes, and the writing of it."""

from __future__ import annotations

import difflib
import os
import subprocess
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal

from tenuto.engine.upstream.capabilities import capabilities_of
from tenuto.migrate.files import walk
from tenuto.migrate.findings import Finding, Hardness
from tenuto.migrate.notebooks import Notebook
from tenuto.migrate.project import surroundings
from tenuto.migrate.python import marks
from tenuto.migrate.python.plan import Note, Options
from tenuto.migrate.python.rewrite import Rewritten, to_messages_api
from tenuto.migrate.python.source import Source, Surroundings
from tenuto.migrate.python.to_tenuto import to_tenuto
from tenuto.migrate.scan import OLD_WORDS

_SIGNS = (b"anthropic", b"max_tokens_to_sample", b"tenuto-migrate")


class ChangedFileError(OSError):
    """A file has changed since it was read."""


@dataclass
class Change:
    """The rewrite of one file.

    Attributes:
        path: The file.
        before: Its bytes.
        after: Its bytes after the rewrite; the same if nothing changes.
        encoding: The encoding of both.
        left: Places that stay as they are.
        lost: Remarks on places that are rewritten.
        todos: The number of TODO comments in the file after the rewrite.
    """

    path: str
    before: bytes
    after: bytes
    encoding: str = "utf-8"
    left: list[Finding] = field(default_factory=list)
    lost: list[Finding] = field(default_factory=list)
    todos: int = 0

    @property
    def findings(self) -> list[Finding]:
        """All findings, by their place."""
        return sorted({*self.left, *self.lost})

    @property
    def is_change(self) -> bool:
        """Whether the file changes."""
        return self.before != self.after

    def diff(self) -> str:
        """Return the change as a unified diff; "" if nothing changes."""
        old, new = (
            data.decode(self.encoding, "replace").splitlines(keepends=True)
            for data in (self.before, self.after)
        )
        name = self.path.lstrip("/")
        lines = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}")
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )

    def write(self) -> None:
        """Replace the file at once, if it still has the bytes that were read.

        Raises:
            ChangedFileError: It has others.
            OSError: It cannot be written; the error has the path of this file.
        """
        if not self.is_change:
            return
        try:
            self._replace(Path(os.path.realpath(self.path)))
        except OSError as error:
            # Otherwise that of the temporary file, or none.
            error.filename = str(self.path)
            raise

    def _replace(self, path: Path) -> None:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tenuto-", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(self.after)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(path.stat().st_mode)
                if path.read_bytes() != self.before:
                    raise ChangedFileError(0, "has changed since it was read", self.path)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise


def target_options(model: str, sdk: Literal[1, 2], *, keep_sampling: bool) -> Options:
    """Return the choices of a rewrite, with the capabilities of the model."""
    row = capabilities_of(model)
    return Options(
        *(model, sdk, keep_sampling),
        prefill=row.prefill,
        sampling=row.sampling,
        most_tokens=row.max_output_tokens,
    )


def uncommitted(paths: Sequence[Path]) -> str:
    """Return the first path whose git tree has uncommitted changes, or ""."""
    for path in paths:
        folder = path if path.is_dir() else path.parent
        command = ["git", "-C", str(folder), "status", "--porcelain", "--", "."]
        if path.is_file():
            command[-1] = path.name
        try:
            result = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
        except OSError:
            return ""
        if result.returncode == 0 and result.stdout.strip():
            return str(path)
    return ""


def changes(
    paths: Sequence[Path], to: str, options: Options, *, unsafe: bool = False
) -> Iterator[Change]:
    """Yield the changes of Python files and notebooks, and the files with findings.

    Args:
        paths: Files and folders.
        to: `tenuto` or `messages`.
        options: Choices of the rewrite to the Messages API.
        unsafe: Whether to rewrite what needs a look.
    """
    for path, kind in walk(paths):
        if kind in ("py", "ipynb"):
            change = _change(path, kind, to, options, unsafe=unsafe)
            if change.is_change or change.findings or change.todos:
                yield change


def _change(path: str, kind: str, to: str, options: Options, *, unsafe: bool) -> Change:
    data = Path(path).read_bytes()
    change = Change(path, data, data)
    if not any(sign in data for sign in _SIGNS):
        return change
    try:
        if kind == "py":
            change.encoding = tokenize.detect_encoding(BytesIO(data).readline)[0]
        text = data.decode(change.encoding)
        notebook = Notebook(text) if kind == "ipynb" else None
        source = notebook.source() if notebook else text.removeprefix("\ufeff")
        result = _rewritten(source, to, options, surroundings(path), unsafe=unsafe)
        new = notebook.replaced(result.text) if notebook else result.text
        if result.text != source:
            # The signature of the encoding `utf-8-sig` is written again.
            change.after = new.encode(change.encoding)
    except (SyntaxError, ValueError) as error:
        if not OLD_WORDS.search(data.decode("latin-1")):
            return change
        line = error.lineno or 1 if isinstance(error, SyntaxError) else 1
        message = f"the file cannot be parsed, and stays: {getattr(error, 'msg', error)}"
        remedy = "convert it to Python 3, or repair it"
        change.left.append(Finding(path, 0, line, 1, "TC001", Hardness.BY_HAND, message, remedy))
        return change
    change.todos = len(marks.TODO.findall(result.text))
    for notes, target in ((result.left, change.left), (result.lost, change.lost)):
        target += [_finding(path, place, note, notebook) for place, note in notes]
    return change


def _rewritten(
    source: str, to: str, options: Options, around: Surroundings, *, unsafe: bool
) -> Rewritten:
    if to == "tenuto":
        return to_tenuto(source)
    return to_messages_api(source, options, unsafe=unsafe, around=around)


def _finding(path: str, source: Source, note: Note, notebook: Notebook | None) -> Finding:
    line, column = note.place(source)
    cell = 0
    if notebook:
        cell, line = notebook.place(source.text, line)
    return Finding(path, cell, line, column, note.code, note.hardness, note.message, note.remedy)
