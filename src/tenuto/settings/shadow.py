"""`[engine.shadow]`: copies of requests for another upstream, to compare the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from tenuto.engine.upstream.fleet.settings import PoolUpstream
from tenuto.engine.upstream.route import RouteSettings, hop_of
from tenuto.quantities import Amount, Count, Positive
from tenuto.settings.file import SettingsError
from tenuto.settings.upstreams import LocalUpstream, Upstream

Share = Annotated[float, Ge(0), Le(1)]
"""A part of all requests, from 0 to 1."""

_WHERE = "[engine.shadow]"


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """`[engine.shadow]`: copies of requests, answered by another upstream beside the callers' own.

    Attributes:
        to: The upstream of the copies, `NAME` or `NAME:MODEL`. None: no copies.
        file: The file of the comparisons, each one line of JSON. Required with `to`.
        share: The part of requests that is copied.
        noise_share: The part of requests that is sent to the upstream that answered once more:
            the difference of its two answers is noise.
        max_concurrent: Most copies at the same time; as many more wait.
        max_tokens_a_day: Most tokens of copies in a day of UTC, input and output together.
        timeout_s: Longest duration of a copy, in seconds.
        max_file_mib: Size of the file at which the copies end, in MiB.
        keep_texts: Write prompts and answers into the file.
    """

    to: str | None = None
    file: Path | None = None
    share: Share = 0.01
    noise_share: Share = 0.0
    max_concurrent: Count = 4
    max_tokens_a_day: Amount = 1_000_000
    timeout_s: Positive = 120.0
    max_file_mib: Count = 256
    keep_texts: bool = False


def check_shadow(
    shadow: ShadowSettings, upstreams: Mapping[str, Upstream], routes: Sequence[RouteSettings]
) -> None:
    """Check that copies can be sent, and that nothing of them reaches callers.

    Raises:
        SettingsError: A setting is missing or invalid.
    """
    if shadow.to is None:
        if shadow.file is not None:
            raise SettingsError(f"{_WHERE} to: write the upstream of the copies, or leave out file")
        return
    if shadow.file is None:
        raise SettingsError(f"{_WHERE} file: write the path of the file of comparisons")
    check_target(f"{_WHERE} to", shadow.to, upstreams)
    if len(upstreams) > 1 and not routes:
        raise SettingsError(
            f"{_WHERE} to: write [[engine.routes]], which name the upstreams that answer callers"
        )


def check_target(where: str, to: str, upstreams: Mapping[str, Upstream]) -> None:
    """Check an upstream of copies, `NAME` or `NAME:MODEL`.

    Args:
        where: Name of the setting or option, for the error.
        to: Its value.
        upstreams: The upstreams by name.

    Raises:
        SettingsError: There is no such upstream, or copies to it would reach callers.
    """
    name, _ = hop_of(to)
    upstream = upstreams.get(name)
    if upstream is None:
        remedy = f"write one of: {', '.join(upstreams)}" if upstreams else "the settings have none"
        raise SettingsError(f"{where}: no [engine.upstreams.{name}]; {remedy}")
    if isinstance(upstream, LocalUpstream):
        raise SettingsError(
            f"{where}: {name} is the embedded engine, whose time callers would miss; serve that "
            "model with another Tenuto, as an upstream of the kind `tenuto`"
        )
    if upstream.forward_key:
        raise SettingsError(
            f"{where}: {name} has forward_key, by which callers would pay for copies; write an "
            "upstream with api_key"
        )
    if isinstance(upstream, PoolUpstream):
        raise SettingsError(
            f"{where}: {name} is a pool; write an upstream of the kind `tenuto` for one node"
        )
