"""What it means when a server behind this one fails, refuses, or answers with something else.

    whose fault               statuses             this server   next server   a failure
    the request               400 409 413 422      no            no            no
    the caller's own key      401 402 403          no            no            no
    a model the caller names  404                  no            yes           no
    this server's settings    401 402 403 404 3xx  no            yes           yes
                              and all other 4xx
    a limit, for now          429                  again         yes           no
    the upstream              408 5xx, no answer   again         yes           yes

An account without money is this server's settings, whatever the status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tenuto.core.refusal import Refusal
from tenuto.engine.upstream.json_text import json_value
from tenuto.engine.upstream.words import about_money, presentable, words_in
from tenuto.wire.errors import kind_of_status

UNREACHABLE: Final = "The server behind this one cannot be reached."
SLOW: Final = "The server behind this one took too long to answer."
BROKE_OFF: Final = "The server behind this one broke off in the middle of its answer."
GARBAGE: Final = "The server behind this one answered with something that is no completion."
REFUSES_US: Final = "The server behind this one does not accept this server's key."
REFUSES_ACCOUNT: Final = "The server behind this one does not serve this server's account."
LACKS_MODEL: Final = (
    "The server behind this one does not have the model that this server's settings name."
)
RATE_LIMITED: Final = "The server behind this one limits how often it may be asked."
TOO_LARGE: Final = "The server behind this one answered with more than a completion can be."

_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    # OpenAI's servers, as `type` or as `code`.
    "bad_request": 400,
    "badrequesterror": 400,
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_api_key": 401,
    "authenticationerror": 401,
    "permissiondeniederror": 403,
    "notfounderror": 404,
    "rate_limit_exceeded": 429,
    "ratelimiterror": 429,
    "unavailable_error": 503,
}
# Types and codes that say more than the status of the response they come with.
_TELLING: Final = {
    "insufficient_quota": 402,
    "billing_error": 402,
    "billing_hard_limit_reached": 402,
    "billing_not_active": 402,
    "account_deactivated": 402,
    "invalid_api_key": 401,
    "model_not_found": 404,
}
_OF_THE_REQUEST: Final = frozenset({400, 409, 413, 422})


class UpstreamError(Refusal):
    """An upstream did not answer as it should.

    Three questions have answers of their own: whether to ask the same upstream again, whether to
    ask the next one, and whether the upstream is to blame.

    Args:
        message: For the caller; it holds no key and no address.
        status: The status of this API for it, 400 to 599.
        retry_after: Seconds after which another try makes sense, if known.
        again: Whether the same request may succeed on another try.
        moves_on: Whether another upstream may serve the request; None: if `again`.
        is_failure: Whether it counts as a failure of the upstream; None: if `again`, unless the
            upstream only rate-limits, with status 429.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after: float | None = None,
        again: bool = False,
        moves_on: bool | None = None,
        is_failure: bool | None = None,
    ) -> None:
        super().__init__(kind_of_status(status), message, retry_after=retry_after)
        self.again = again
        self.moves_on: bool = again if moves_on is None else moves_on
        self.is_failure: bool = (again and status != 429) if is_failure is None else is_failure


class RequestRefused(UpstreamError):
    """A refusal of the request itself.

    Attributes:
        words: As the upstream wrote them, to find what to change. Not for any eyes.
    """

    words: str = ""


class NoSuchModel(UpstreamError):
    """The upstream does not have the model. Who named it decides whose fault that is."""


@dataclass(frozen=True, slots=True)
class Whose:
    """What an error has to be judged by, besides itself.

    Attributes:
        forwards_key: The key was the caller's own.
        hidden: Texts that a caller may not see.
    """

    forwards_key: bool = False
    hidden: tuple[str, ...] = ()


OURS: Final = Whose()


def json_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UpstreamError: The text is something else.
    """
    try:
        value = json_value(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise garbage()
    return value


def garbage() -> UpstreamError:
    """The error for an answer that is not one of the upstream's API."""
    return UpstreamError(GARBAGE, status=500, again=True)


def broke_off() -> UpstreamError:
    """The error for an answer that ends before its end."""
    return UpstreamError(BROKE_OFF, status=500, again=True)


def misconfigured(message: str) -> UpstreamError:
    """The error for what the settings of this server have wrong: no other try will help."""
    return UpstreamError(message, status=500, moves_on=True, is_failure=True)


def error_of_response(
    status: int, body: bytes, *, retry_after: float | None = None, whose: Whose = OURS
) -> UpstreamError:
    """The error that a response stands for, by its status and what its body says.

    Args:
        status: 300 or more.
        body: Its bytes, as far as they came; JSON or anything else.
        retry_after: Seconds after which another try makes sense, if that is known.
        whose: See `Whose`.
    """
    try:
        value = json_value(body)
    except ValueError:
        value = None
    telling = _TELLING.get(_name(value, "code")) or _TELLING.get(_name(value, "type"))
    if telling is not None and 400 <= status < 500:
        status = telling
    return _error(status, words_in(value), retry_after, whose)


def error_in(name: str, said: object, whose: Whose = OURS) -> UpstreamError | None:
    """The error that an event or a body with status 200 stands for; None if it is no error.

    Args:
        name: The event's name, or "".
        said: Its JSON.
        whose: See `Whose`.
    """
    if isinstance(said, list):
        # As Gemini's servers wrap it.
        inner = (error_in("", one, whose) for one in said[:1] if isinstance(one, dict))
        return next((error for error in inner if error is not None), None)
    if not isinstance(said, dict):
        return _error(500, words_in(said), None, whose) if name == "error" else None
    error = said.get("error")
    if not (name == "error" or "error" in (said.get("type"), said.get("object")) or _says(error)):
        return None
    return _error(_status_in(said), words_in(error) or words_in(said), None, whose)


def _says(error: object) -> bool:
    """Whether a field `error` is there: null, an empty text or empty fields are not."""
    if isinstance(error, dict):
        return any(error.values())
    return bool(error)


def _status_in(said: Mapping[str, Any]) -> int:
    for key in ("code", "type"):
        name = _name(said, key)
        if name in _TELLING:
            return _TELLING[name]
    inner = said.get("error")
    for fields in (inner, said):
        if not isinstance(fields, dict):
            continue
        for key in ("code", "status", "status_code", "statusCode"):
            if (number := _as_status(fields.get(key))) is not None:
                return number
    for key in ("type", "code", "status"):
        name = _name(said, key)
        if name in _STATUS_OF_TYPE:
            return _STATUS_OF_TYPE[name]
    return 500


def _as_status(value: object) -> int | None:
    """A status, as a number or as its digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    is_one = isinstance(value, int) and not isinstance(value, bool) and 300 <= value <= 599
    return value if is_one and isinstance(value, int) else None


def _name(said: object, key: str) -> str:
    """A name in an error's envelope, in lower case; "" if there is none."""
    if isinstance(said, list):
        said = said[0] if said else None
    if not isinstance(said, dict):
        return ""
    inner = said.get("error")
    for fields in (inner, said):
        value = fields.get(key) if isinstance(fields, dict) else None
        if isinstance(value, str) and value != "error":
            return value.lower()[:100]
    return ""


def _error(
    status: int, words: str | None, retry_after: float | None, whose: Whose
) -> UpstreamError:
    if status in (401, 402, 403) and whose.forwards_key:
        return UpstreamError(_shown(status, words, whose.hidden), status=status)
    if status == 402 or (400 <= status < 500 and about_money(words)):
        if whose.forwards_key:
            return UpstreamError(_shown(status, words, whose.hidden), status=402)
        return misconfigured(REFUSES_ACCOUNT)
    if status in (401, 403, 407):
        return misconfigured(REFUSES_US)
    if status == 404 and words and "model" in words.lower():
        return NoSuchModel(LACKS_MODEL, status=500, moves_on=True, is_failure=True)
    if status in (408, 504):
        return UpstreamError(SLOW, status=504, again=True)
    if status in (503, 529):
        return UpstreamError("Overloaded", status=529, retry_after=retry_after, again=True)
    if status == 429:
        return UpstreamError(RATE_LIMITED, status=429, retry_after=retry_after, again=True)
    if status >= 500 or status == 425:
        return UpstreamError(
            f"The server behind this one failed; it answered {status}.", status=500, again=True
        )
    if status in _OF_THE_REQUEST:
        refusal = RequestRefused(
            _shown(status, words, whose.hidden), status=400 if status == 422 else status
        )
        refusal.words = words or ""
        return refusal
    kind = ", a redirect" if status < 400 else ""
    return misconfigured(
        f"The server behind this one answered {status}{kind}: this server's settings name a wrong "
        "address for it."
    )


def _shown(status: int, words: str | None, hidden: Iterable[str]) -> str:
    shown = presentable(words, hidden) if words else ""
    return shown or f"The server behind this one answered {status}."
