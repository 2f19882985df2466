"""The open charges of one gateway, in the coordinator."""

from __future__ import annotations

from tenuto.core.job import Usage
from tenuto.core.refusal import Kind, Refusal
from tenuto.operations.accounts.accounts import Accounts
from tenuto.operations.accounts.charge import Charge, CompletionEnd
from tenuto.operations.store.rows import INTERRUPTED
from tenuto.server.workers.fields import Headers
from tenuto.server.workers.to_coordinator import Cancel, End, Reserve
from tenuto.server.workers.to_gateway import Refused, Reserved

_INTERRUPTED = CompletionEnd(Usage(), "", "", 0, INTERRUPTED, 0)


class Charges:
    """Reserve and end charges for a gateway.

    Args:
        accounts: The accounts of the server.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._open: dict[int, Charge] = {}

    def reserve(self, order: Reserve) -> Reserved | Refused:
        """Reserve the most that a completion can use, and return the reply."""
        accounts, headers = self._accounts, Headers()
        try:
            account = accounts.account_of(order.key, order.address)
            if account is None:
                # Deleted since the gateway has found it.
                raise Refusal(Kind.UNAUTHENTICATED, "invalid x-api-key")
            self._open[order.number] = accounts.reserve(
                *(account, order.model, headers),
                input_tokens=order.input_tokens,
                output_tokens=order.output_tokens,
            )
        except Refusal as error:
            return Refused(
                *(order.number, error.kind, error.message, error.retry_after, error.retryable),
                headers,
            )
        return Reserved(order.number, headers)

    def end(self, order: End | Cancel) -> None:
        """End a charge. Unknown ones are ignored."""
        charge = self._open.pop(order.charge, None)
        if charge is None:
            return
        if isinstance(order, End):
            charge.end(order.facts)
        else:
            charge.cancel()

    def interrupt(self) -> int:
        """End all charges as reserved, because the gateway is gone. Return their number."""
        charges, self._open = self._open, {}
        for charge in charges.values():
            charge.end(_INTERRUPTED)
        return len(charges)
