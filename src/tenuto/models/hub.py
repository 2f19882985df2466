"""The Hugging Face Hub: what a repository holds, and the bytes of its files.

`huggingface_hub` knows the hub's address (HF_ENDPOINT), the token (HF_TOKEN, or that of a login),
proxies and certificates. It is imported late: it is not always installed, and takes half a second.
Addresses never get into a message, since those that the hub redirects to carry signatures.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol

from tenuto.core.extras import MissingExtraError, needs
from tenuto.models.choice import RemoteFile
from tenuto.models.errors import ModelUnavailable

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

_TIMEOUT_S: Final = 30.0

# Statuses of HTTP.
_PARTIAL_CONTENT: Final = 206
_REFUSED: Final = (401, 403)
_PASSING: Final = (408, 429)
_SERVER_ERROR: Final = 500


class Broken(Exception):
    """The connection broke; the next try may go on from there."""


class Chunks(Protocol):
    """A file's content from `start` on, in pieces. It raises `Broken`."""

    start: int

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, in order."""
        ...


class Repository:
    """A repository on the hub, at the commit that was the newest when it was looked up.

    Args:
        name: `org/repo`.

    Attributes:
        files: All files in it.

    Raises:
        ModelUnavailable: It is not there, may not be read, or the hub cannot be reached.
    """

    files: tuple[RemoteFile, ...]

    def __init__(self, name: str) -> None:
        _drop_empty_variables()
        try:
            with needs("hub", "the download of models"):
                import huggingface_hub as hub
        except MissingExtraError as error:
            raise ModelUnavailable(str(error)) from None
        import httpx2
        from huggingface_hub import constants

        # Otherwise the library fetches a list of programs from the hub, and each request names
        # those that it finds running it. The variable of that name is read at its import only.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        self._hub = hub
        self._name = name
        try:
            info = hub.HfApi(library_name="tenuto").model_info(
                name, files_metadata=True, timeout=_TIMEOUT_S
            )
        except (hub.errors.OfflineModeIsEnabled, hub.errors.HfHubHTTPError) as error:
            raise self._refusal(error) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ModelUnavailable(
                f"{name}: the hub cannot be reached at {_endpoint(hub)} ({_reason(error)}); check "
                "the network, or HF_ENDPOINT if you set it"
            ) from None
        except ImportError as error:
            raise ModelUnavailable(
                f"a variable for proxies, such as ALL_PROXY, cannot be used: {error}"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelUnavailable(
                f"{name}: the hub's answer makes no sense ({type(error).__name__}); check "
                "HF_ENDPOINT if you set it"
            ) from None
        self._commit = info.sha or "main"
        self.files = tuple(
            RemoteFile(
                file.rfilename,
                (file.lfs.size if file.lfs else file.size) or 0,
                file.lfs.sha256 if file.lfs else None,
                file.blob_id,
            )
            for file in info.siblings or []
        )

    @contextlib.contextmanager
    def read(self, file: RemoteFile, start: int) -> Iterator[Chunks]:
        """Opens a file.

        Args:
            file: One of `files`.
            start: The first byte that is wanted. The hub may begin at 0 all the same.

        Raises:
            ModelUnavailable: It may not be read.
            Broken: The hub cannot be reached at the moment, here or while it is read.
        """
        import httpx2

        hub = self._hub
        url = hub.hf_hub_url(self._name, file.path, revision=self._commit)
        headers = hub.utils.build_hf_headers(library_name="tenuto")
        # Compressed on the way, the bytes could not be counted.
        headers["accept-encoding"] = "identity"
        if start:
            headers["range"] = f"bytes={start}-"
        try:
            # A redirect to another host goes without the token: the session sees to that.
            with hub.get_session().stream(
                "GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True
            ) as response:
                hub.hf_raise_for_status(response)
                began = start if response.status_code == _PARTIAL_CONTENT else 0
                # As they come: pieces of a set size would be lost when the connection breaks.
                yield _Content(began, response.iter_bytes())
        except hub.errors.HfHubHTTPError as error:
            status = error.response.status_code
            if status in _PASSING or status >= _SERVER_ERROR:
                raise Broken(f"the hub answered with status {status}") from None
            raise self._refusal(error) from None
        except httpx2.HTTPError as error:
            raise Broken(f"the connection broke ({type(error).__name__})") from None

    def _refusal(self, error: OfflineModeIsEnabled | HfHubHTTPError) -> ModelUnavailable:
        """What the hub's answer means for a person."""
        from huggingface_hub import errors

        unknown = False
        if isinstance(error, errors.OfflineModeIsEnabled):
            reason = "HF_HUB_OFFLINE is set, so nothing is downloaded"
        elif isinstance(error, errors.GatedRepoError):
            reason = (
                "its owners want their terms to be accepted: do so on the hub's page of the "
                "model, then set HF_TOKEN to a token of your account"
            )
        elif isinstance(error, (errors.RepositoryNotFoundError, errors.DisabledRepoError)):
            unknown = True
            reason = (
                "the hub has no such repository, or it is private: check the spelling, or set "
                "HF_TOKEN to a token that may read it"
            )
        else:
            status = error.response.status_code
            reason = f"the hub answered with status {status}; " + (
                "check HF_TOKEN, or unset it for a public model"
                if status in _REFUSED
                else "try again later"
            )
        return ModelUnavailable(f"{self._name}: {reason}", asked_wrongly=unknown)


def _endpoint(hub: ModuleType) -> str:
    """Return the hub's address, without a password in it."""
    address = str(hub.constants.ENDPOINT)
    return (
        f"{address.partition('://')[0]}://{address.rpartition('@')[2]}"
        if "@" in address
        else address
    )


def _reason(error: Exception) -> str:
    """Return the kind of an error, and the system's words, which hold no address."""
    words = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {words}" if words and "/" not in words else name


def _drop_empty_variables() -> None:
    """Unset what is set to nothing, because the library would take it for a value."""
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        if not os.environ.get(name, "x").strip():
            del os.environ[name]


class _Content:
    def __init__(self, start: int, pieces: Iterator[bytes]) -> None:
        self.start = start
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces
