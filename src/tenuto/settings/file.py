"""Read a settings file: a small, regular TOML file."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

_MOST_BYTES = 1024 * 1024
# The parser takes quadratic time in the parts of a key. The longest key of a setting has six.
_MOST_PARTS = 32
# Each alternative matches from its first letter even without an end, which keeps time linear.
_STRING_OR_COMMENT = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5})?|"(?:[^"\\\n]|\\[^\n])*+"?'''
    r"""|'''(?:[^']|'(?!''))*+(?:'{3,5})?|'[^'\n]*+'?|\#[^\n]*+""",
    re.DOTALL,
)
_LONG_KEY = re.compile(rf"(?:(?<![\w-])[\w-]++[ \t]*+\.[ \t]*+){{{_MOST_PARTS}}}")
_BOMS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class SettingsError(ValueError):
    """Unknown or invalid settings.

    Attributes:
        mistakes: A line each, with the setting and its source.
    """

    def __init__(self, *mistakes: str) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "\n".join(self.mistakes)


def read_toml(path: Path, *, check_owner: bool = False) -> dict[str, Any]:
    """Return the content of a settings file.

    Args:
        path: The file: regular, at most 1 MiB, in UTF-8, with or without a byte order mark. The
            null device counts as an empty file.
        check_owner: Refuse a file of another user except root, because settings decide where
            variables of the environment are sent.

    Raises:
        SettingsError: The file cannot be read, or is not valid TOML.
    """
    text = _text(path, _bytes(path, check_owner=check_owner))
    if _LONG_KEY.search(_STRING_OR_COMMENT.sub("x", text)):
        raise SettingsError(f"{path}: a key has more than {_MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SettingsError(f"{path}: the values are nested too deeply") from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None


def _bytes(path: Path, *, check_owner: bool) -> bytes:
    try:
        # Without O_NONBLOCK, opening a pipe without a writer blocks.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"{os.fspath(path)!a}: not a valid file name") from None
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise SettingsError(f"{path}: is a directory, not a settings file")
        if stat.S_ISCHR(found.st_mode) and os.path.samestat(found, Path(os.devnull).stat()):
            return b""
        if not stat.S_ISREG(found.st_mode):
            raise SettingsError(f"{path}: is not a regular file")
        if check_owner:
            _check_owner(path, found)
        content = b""
        while len(content) <= _MOST_BYTES and (piece := os.read(descriptor, _MOST_BYTES + 1)):
            content += piece
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > _MOST_BYTES:
        raise SettingsError(f"{path}: is larger than 1 MiB, too large for a settings file")
    return content


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Accept files of this user and of root only, as git does for a repository's configuration."""
    if not hasattr(os, "geteuid"):
        return
    trusted = {0, os.geteuid()}
    sudo = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and sudo.isascii() and sudo.isdigit():
        trusted.add(int(sudo))
    link = path.lstat()
    for owner in (found.st_uid, link.st_uid):
        if owner not in trusted:
            raise SettingsError(
                f"{path}: is owned by another user (id {owner}), and settings decide where keys "
                f"are sent; read it, and if you trust it, name it: --config {path}"
            )


def _text(path: Path, content: bytes) -> str:
    for mark, encoding in _BOMS.items():
        if content.startswith(mark):
            raise SettingsError(f"{path}: is encoded in {encoding}; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{content[error.start]:02x} at offset {error.start}"
        raise SettingsError(f"{path}: is not UTF-8: {byte}, in line {line}") from None
    if "\0" in text:
        raise SettingsError(f"{path}: has NUL bytes, as UTF-16 has; save it as UTF-8")
    return text
