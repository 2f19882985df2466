"""Optional parts of the package: report a missing one with the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final

# Not `pip install 'tenuto[...]'`: a package index may have another package of that name.
_INSTALL: Final = "install its libraries from Tenuto's source folder: pip install '.[{}]'"


class MissingExtraError(ImportError):
    """The libraries of a feature are not installed. The message names the extra to install."""


def install(extra: str) -> str:
    """Return the remedy for a missing extra, as the end of a message."""
    return _INSTALL.format(extra)


def check(feature: str, extra: str, *libraries: str) -> None:
    """Check that one of some libraries is installed, without importing it. See `needs`."""
    if not any(find_spec(library) for library in libraries):
        raise _missing(" or ".join(libraries), extra, feature)


@contextmanager
def needs(extra: str, feature: str) -> Iterator[None]:
    """Report a missing library that the block imports.

    Args:
        extra: The extra in `pyproject.toml` that installs the library.
        feature: The subject of the message.

    Raises:
        MissingExtraError: A library is not installed.
    """
    try:
        yield
    except ImportError as error:
        library = (error.name or "a library").partition(".")[0]
        if library == "tenuto":
            raise
        raise _missing(library, extra, feature) from None


def _missing(library: str, extra: str, feature: str) -> MissingExtraError:
    message = f"{feature} is not installed ({library} is missing); {install(extra)}"
    return MissingExtraError(message, name=library)
