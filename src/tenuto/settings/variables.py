"""Classify variables of the environment: settings, foreign variables, and mistakes. Pure.

Kubernetes and Docker set variables for every service or linked container. For one named `tenuto`
or `tenuto-anything`, their names begin with `TENUTO_` too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

PREFIX = "TENUTO_"

_ADDRESS = re.compile(r"(tcp|udp|sctp)://[^\s/]+:\d{1,5}", re.IGNORECASE)
_HOST = re.compile(r"[0-9A-Za-z.:_-]+")
_NUMBER = re.compile(r"\d{1,5}")
_PROTOCOL = re.compile(r"tcp|udp|sctp", re.IGNORECASE)
_LINK_NAME = re.compile(r"/[^/\s]+/[^/\s]+")

# The end of a variable's name, and its value.
_FORMS = [
    (re.compile(r"_SERVICE_HOST"), _HOST),
    (re.compile(r"_SERVICE_PORT(_[A-Z0-9_]+)?"), _NUMBER),
    (re.compile(r"_PORT"), _ADDRESS),
    (re.compile(r"_PORT_\d+_(TCP|UDP|SCTP)(_START|_END)?"), _ADDRESS),
    (re.compile(r"_PORT_\d+_(TCP|UDP|SCTP)_ADDR"), _HOST),
    (re.compile(r"_PORT_\d+_(TCP|UDP|SCTP)_PORT(_START|_END)?"), _NUMBER),
    (re.compile(r"_PORT_\d+_(TCP|UDP|SCTP)_PROTO"), _PROTOCOL),
    (re.compile(r"_NAME"), _LINK_NAME),
]
_LINK_ENVIRONMENT = re.compile(r"(TENUTO(?:_[A-Z0-9]+)*?)_ENV_.+")


def present(environment: Mapping[str, str], name: str) -> str | None:
    """Return a variable without surrounding blanks; None if unset or empty."""
    return environment.get(name, "").strip() or None


def is_foreign(name: str, environment: Mapping[str, str]) -> bool:
    """Return whether a variable that begins with `TENUTO_` has a form of Kubernetes or Docker."""
    value = environment[name].strip()
    end = name.removeprefix("TENUTO")
    for form, content in _FORMS:
        if re.fullmatch(rf"(_[A-Z0-9_]+?)?({form.pattern})", end) and content.fullmatch(value):
            return True
    link = _LINK_ENVIRONMENT.fullmatch(name)
    # Docker sets all variables of a linked container, which only the link's name identifies.
    return link is not None and bool(_LINK_NAME.fullmatch(environment.get(f"{link[1]}_NAME", "")))


def incomplete(environment: Mapping[str, str]) -> list[str]:
    """Return every `…_SERVICE_PORT` without its `…_SERVICE_HOST`, perhaps a misspelt setting.

    Kubernetes sets both.
    """
    return [
        name
        for name in sorted(environment)
        if name.startswith(PREFIX)
        and (found := re.match(r"(.+)_SERVICE_PORT", name))
        and not present(environment, f"{found[1]}_SERVICE_HOST")
        and present(environment, name)
        and is_foreign(name, environment)
    ]


def unknown(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a line for each variable with the form of a setting and an unknown name.

    Empty variables count as not set. `known` has those of all settings and of a client.
    """
    mistakes = []
    for name in sorted(environment):
        if name in known or present(environment, name) is None:
            continue
        if name.upper() in known:
            mistakes.append(f"{_cut(name)}: write it in capitals, {name.upper()}")
        elif name.startswith(PREFIX) and not is_foreign(name, environment):
            mistakes.append(f"{_cut(name)}: unknown setting; {_hint(name, known)}")
    return mistakes


def _hint(name: str, known: Collection[str]) -> str:
    # Imported late because most environments have no mistakes.
    from difflib import get_close_matches

    rest = name[:100].removeprefix(PREFIX).upper()
    if re.match("ENGINE_(UPSTREAMS|ROUTES)", rest):
        return "upstreams and routes are set in a file only"
    # For example `TENUTO_PORT`, without its section.
    near = [each for each in sorted(known) if rest and each.endswith(f"_{rest}")]
    if not near:
        names = {each.removeprefix(PREFIX): each for each in known}
        near = [names[each] for each in get_close_matches(rest, names, n=1, cutoff=0.5)]
    if near:
        return f"did you mean {' or '.join(near[:3])}?"
    return "write TENUTO_SECTION_KEY, as in TENUTO_SERVER_PORT for `port` of [server]"


def _cut(name: str) -> str:
    name = name.encode("utf-8", "backslashreplace").decode()
    return name if len(name) <= 100 else f"{name[:100]}…"
