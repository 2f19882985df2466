"""Arguments that functions do not have, reported by the name that the caller wrote."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Report wrong arguments of a method with a hint, before it is called."""
    return _wrapped(function, inspect.signature(function))


def signature_of(
    model: Callable[..., object],
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a method that takes `**params` the parameters of another one, for people to see.

    `inspect.signature`, `help` and editors show them, and `checked` holds for them.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        shown = inspect.signature(model).replace(
            return_annotation=inspect.signature(function).return_annotation
        )
        wrapper = _wrapped(function, shown)
        arguments = (inspect.getdoc(model) or "").partition("Args:\n")[2].partition("\n\n")[0]
        wrapper.__doc__ = f"{inspect.getdoc(function)}\n\nArgs:\n{arguments}\n"
        wrapper.__signature__ = shown  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _wrapped(function: Callable[P, R], signature: inspect.Signature) -> Callable[P, R]:
    positional = sum(each.kind in _POSITIONAL for each in signature.parameters.values())
    names = frozenset(list(signature.parameters)[1:])

    def check(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if len(args) > positional or not names.issuperset(kwargs):
            name = function.__name__
            called = type(args[0]).__name__ if name == "__init__" else name
            raise TypeError(f"{called}() {_mistake(args[positional:], kwargs, signature)}")

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            check(args, kwargs)
            return await cast("Any", function(*args, **kwargs))

        return cast("Callable[P, R]", awaited)

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        check(args, kwargs)
        return function(*args, **kwargs)

    return wrapper


def _mistake(
    surplus: tuple[Any, ...], given: Mapping[str, Any], signature: inspect.Signature
) -> str:
    keywords = [
        name
        for name, each in signature.parameters.items()
        if each.kind not in _POSITIONAL and not name.startswith("_")
    ]
    if surplus:
        return f"takes keyword arguments only: write {keywords[0]}=..."
    unknown = next(name for name in given if name not in signature.parameters)
    near = [name for name in keywords if len(unknown) > 2 and name.startswith(unknown)]
    near += difflib.get_close_matches(unknown, keywords, n=1)
    if near:
        hint = f"; did you mean {near[0]!r}?"
    elif "extra_body" in keywords:
        hint = "; pass a field that the API does not have in `extra_body`"
    else:
        hint = ""
    return f"got an unexpected keyword argument {unknown!r}{hint}"
