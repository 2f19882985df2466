"""The one error that travels inside: why a request is not served, or not to its end.

`wire.errors` holds the status and the type that each kind has in the API.
"""

from __future__ import annotations

from enum import StrEnum, auto


class Kind(StrEnum):
    """What is wrong, and whose fault it is."""

    INVALID = auto()
    """The request itself."""
    TOO_LONG = auto()
    """The prompt does not fit the model's context."""
    UNSUPPORTED = auto()
    """A field that the engine cannot honour."""
    UNAUTHENTICATED = auto()
    """No key, or a wrong one."""
    BILLING = auto()
    """The account cannot pay."""
    FORBIDDEN = auto()
    """The caller may not do this."""
    NOT_FOUND = auto()
    """A route or a model that does not exist."""
    METHOD_NOT_ALLOWED = auto()
    """The route exists for other methods."""
    TOO_SLOW = auto()
    """The request arrived too slowly."""
    CONFLICT = auto()
    """Another request is in the way."""
    TOO_LARGE = auto()
    """The body is larger than the limit."""
    RATE_LIMITED = auto()
    """The caller asks too often."""
    HEAD_TOO_LARGE = auto()
    """Too many headers, or too long ones."""
    FAILED = auto()
    """A fault on our side."""
    TIMEOUT = auto()
    """An upstream took too long."""
    OVERLOADED = auto()
    """No room at the moment."""


class Refusal(Exception):
    """A request that is not served, or whose answer broke.

    Args:
        kind: What is wrong.
        message: One or two sentences for the caller: what is wrong, then the remedy. Never holds a
            secret.
        retry_after: Seconds after which the same request may succeed, if known.
        retryable: Whether a client should send the request again by itself; None for the client's
            own rule, which goes by the status.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        retry_after: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after
        self.retryable = retryable

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle all fields, not the message alone."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    cls: type[Refusal], arguments: tuple[object, ...], fields: dict[str, object]
) -> Refusal:
    refusal = cls.__new__(cls, *arguments)
    refusal.__dict__.update(fields)
    return refusal


class ModelError(Refusal):
    """The model is missing, damaged or not supported, and another try will not help.

    The message names paths of this machine: it is for the operator. Callers get another one.
    """

    def __init__(self, message: str) -> None:
        super().__init__(Kind.FAILED, message)


def invalid(message: str) -> Refusal:
    """Return the refusal of a request that is wrong by itself."""
    return Refusal(Kind.INVALID, message)


def unsupported(field: str, reason: str) -> Refusal:
    """Return the refusal of a field that the engine cannot honour.

    Args:
        field: Its name in the API.
        reason: Why not, and the remedy: a sentence.
    """
    return Refusal(Kind.UNSUPPORTED, f"{field}: {reason}")


def too_long(tokens: int, limit: int) -> Refusal:
    """Return the refusal of a prompt that does not fit the context.

    Args:
        tokens: Length of the prompt in tokens.
        limit: Most tokens that a prompt may have.
    """
    return Refusal(Kind.TOO_LONG, f"prompt is too long: {tokens} tokens > {limit} maximum")


def overloaded(message: str = "Overloaded", retry_after: float | None = 1.0) -> Refusal:
    """Return the refusal for lack of room, which another try in a moment may find."""
    return Refusal(Kind.OVERLOADED, message, retry_after=retry_after)


def failed(message: str, *, retryable: bool | None = None) -> Refusal:
    """Return the refusal for a fault on our side."""
    return Refusal(Kind.FAILED, message, retryable=retryable)
