"""Wrong arguments of a method, reported by the name that the caller wrote and with a hint."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Check the names of a method's arguments before it is called."""
    signature = inspect.signature(function)
    positional = sum(each.kind in _POSITIONAL for each in signature.parameters.values())
    names = frozenset(list(signature.parameters)[1:])

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > positional or not names.issuperset(kwargs):
            name = function.__name__
            called = type(args[0]).__name__ if name == "__init__" else name
            raise TypeError(f"{called}() {_mistake(args[positional:], kwargs, signature)}")
        return function(*args, **kwargs)

    return wrapper


def as_coroutine(function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make a coroutine function of a method that returns an awaitable.

    `inspect.iscoroutinefunction` is then true, and wrong arguments raise when it is awaited.
    """

    @wraps(function)
    async def coroutine(*args: P.args, **kwargs: P.kwargs) -> R:
        return await function(*args, **kwargs)

    return coroutine


def _mistake(
    surplus: tuple[Any, ...], arguments: Mapping[str, Any], signature: inspect.Signature
) -> str:
    keywords = [
        name
        for name, each in signature.parameters.items()
        if each.kind not in _POSITIONAL and not name.startswith("_")
    ]
    if surplus:
        return f"takes keyword arguments only: write {keywords[0]}=..."
    unknown = next(name for name in arguments if name not in signature.parameters)
    near = [name for name in keywords if len(unknown) > 2 and name.startswith(unknown)]
    near += difflib.get_close_matches(unknown, keywords, n=1)
    if near:
        hint = f"; did you mean {near[0]!r}?"
    elif "extra_body" in keywords:
        hint = "; pass a field that the API does not have in `extra_body`"
    else:
        hint = ""
    return f"got an unexpected keyword argument {unknown!r}{hint}"
