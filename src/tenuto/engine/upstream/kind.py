"""The base of all kinds of upstream: common settings, and the methods that a kind overrides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from tenuto.quantities import Count, Positive

if TYPE_CHECKING:
    # Not at run time, because the settings load this module, and these load the whole reader.
    from tenuto.core.job import Job
    from tenuto.engine.upstream.request import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUpstream:
    """Settings of an upstream server, of any kind, and the translation of jobs for it.

    A kind is a module in `engine/upstream/kinds/`. It holds one subclass of this class, with a
    field `kind` whose default is the module's name.

    Attributes:
        base_url: Where it is: `http://…` or `https://…`. One that ends in a version, `/v3` for
            example, is used as it stands; to others `/v1` is added.
        model: The name that it is asked for. None: the one in the request.
        api_key: The key that it is sent. `$NAME` stands for that variable of the environment.
        basic_auth: `user:password` for HTTP basic authentication; `$NAME` as above. The part
            before the `@` of an address comes here too.
        forward_key: Send it the caller's own key instead of one of the server.
        connect_timeout_s: How long a connection may take.
        read_timeout_s: How long it may be silent, before its answer and in the middle of it.
        breaker_failures: After so many failures in a row it is left alone for a while.
        breaker_pause_s: For how long. Doubled when it fails again, up to sixteen times.
        max_output_tokens: The most that it may be asked to write; more is capped.
        kind: The kind's name.
    """

    key_header: ClassVar[str] = "x-api-key"
    """Header of the key; a key in `authorization` is sent as a bearer token."""

    base_url: str
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    basic_auth: str | None = field(default=None, repr=False)
    forward_key: bool = False
    connect_timeout_s: Positive = 5.0
    read_timeout_s: Positive = 300.0
    breaker_failures: Count = 5
    breaker_pause_s: Positive = 10.0
    max_output_tokens: Count | None = None
    kind: str

    def request_for(self, job: Job) -> Steps:
        """Make the request for a job, in steps.

        Raises:
            Refusal: The upstream does not take such a job.
        """
        raise NotImplementedError

    def key_as_header(self, key: str) -> tuple[str, str]:
        """Return the name and the value of the header that carries a key."""
        return self.key_header, f"Bearer {key}" if self.key_header == "authorization" else key
