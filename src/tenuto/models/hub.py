"""Read the Hugging Face Hub: the list of a repository's files, and their content.

`huggingface_hub` provides the hub's address (HF_ENDPOINT), the token (HF_TOKEN, or that of a
login), proxies and certificates. It is imported late, because it is optional and takes 0.5 s.
Messages never contain addresses, because those that the hub redirects to carry signatures.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias

from tenuto.core.extras import MissingExtraError, needs
from tenuto.models.choice import RemoteFile
from tenuto.models.errors import ModelUnavailable

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

_TIMEOUT_S: Final = 30.0

_PARTIAL_CONTENT: Final = 206
_REFUSED: Final = (401, 403)
_RETRYABLE: Final = (408, 429)
_SERVER_ERROR: Final = 500

Content: TypeAlias = tuple[int, Iterator[bytes]]
"""Position of the first byte, and the content from there. The iterator may raise `Broken`."""


class Broken(Exception):
    """A failed connection or a temporary refusal; a retry may continue."""


class Repository:
    """The repository `org/repo` on the hub, and all its files, at its newest commit.

    Raises:
        ModelUnavailable: The repository does not exist or may not be read, or the hub cannot be
            reached.
    """

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
        # those that run it. The library reads its own variable for this at import only.
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
                f"a variable for proxies, such as ALL_PROXY, is invalid: {error}"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelUnavailable(
                f"{name}: the hub sent an invalid response ({type(error).__name__}); check "
                "HF_ENDPOINT if you set it"
            ) from None
        self._commit = info.sha or "main"
        self.files: tuple[RemoteFile, ...] = tuple(
            RemoteFile(
                file.rfilename,
                (file.lfs.size if file.lfs else file.size) or 0,
                file.lfs.sha256 if file.lfs else None,
                file.blob_id,
            )
            for file in info.siblings or []
        )

    @contextlib.contextmanager
    def read(self, file: RemoteFile, start: int) -> Iterator[Content]:
        """Open one of the files at the byte `start`. The hub may start at 0 instead.

        Raises:
            ModelUnavailable: The file may not be read.
            Broken: The connection failed, here or while reading.
        """
        import httpx2

        hub = self._hub
        url = hub.hf_hub_url(self._name, file.path, revision=self._commit)
        headers = hub.utils.build_hf_headers(library_name="tenuto")
        # A compressed response has no countable bytes of the file.
        headers["accept-encoding"] = "identity"
        if start:
            headers["range"] = f"bytes={start}-"
        try:
            # The session removes the token when it follows a redirect to another host.
            with hub.get_session().stream(
                "GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True
            ) as response:
                hub.hf_raise_for_status(response)
                first = start if response.status_code == _PARTIAL_CONTENT else 0
                # Without a chunk size, because an incomplete chunk is lost with the connection.
                yield first, response.iter_bytes()
        except hub.errors.HfHubHTTPError as error:
            status = error.response.status_code
            if status in _RETRYABLE or status >= _SERVER_ERROR:
                raise Broken(f"the hub answered with status {status}") from None
            raise self._refusal(error) from None
        except httpx2.HTTPError as error:
            raise Broken(f"the connection broke ({type(error).__name__})") from None

    def _refusal(self, error: OfflineModeIsEnabled | HfHubHTTPError) -> ModelUnavailable:
        """Return the hub's refusal with its remedy."""
        from huggingface_hub import errors

        unknown = isinstance(error, (errors.RepositoryNotFoundError, errors.DisabledRepoError))
        if isinstance(error, errors.OfflineModeIsEnabled):
            reason = "HF_HUB_OFFLINE is set, so nothing is downloaded"
        elif isinstance(error, errors.GatedRepoError):
            unknown = False
            reason = (
                "its owners require their terms to be accepted: do so on the hub's page of the "
                "model, then set HF_TOKEN to a token of your account"
            )
        elif unknown:
            reason = (
                "the hub has no such repository, or it is private: check the spelling, or set "
                "HF_TOKEN to a token that may read it"
            )
        else:
            status = error.response.status_code
            refused = "check HF_TOKEN, or unset it for a public model"
            remedy = refused if status in _REFUSED else "try again later"
            reason = f"the hub answered with status {status}; {remedy}"
        return ModelUnavailable(f"{self._name}: {reason}", user_error=unknown)


def _endpoint(hub: ModuleType) -> str:
    """Return the hub's address without credentials."""
    return re.sub(r"^(.*?://)?.*@", r"\1", str(hub.constants.ENDPOINT))


def _reason(error: Exception) -> str:
    """Return the type of an error, and its message unless that may hold an address."""
    message = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {message}" if message and "/" not in message else name


def _drop_empty_variables() -> None:
    """Unset empty variables, which the library would use as values."""
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
        if not os.environ.get(name, "x").strip():
            del os.environ[name]
