"""Is the other side there? An empty packet over its link, and the time that any answer takes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final

from core.account import Account, AccountDirectory
from core.clock import Clock
from core.control.accounts import find_account
from core.control.sources import LinkSource
from core.control.views import PingResult
from core.errors import Conflict
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, error_words
from core.service import Outgoing, are_you_there

PING_MS: Final = 5_000
"""How long an answer is waited for: a person is waiting too."""
_OURS_TO_WAIT: Final = frozenset(
    {ErrorCode.CONNECTOR_BUSY.value, ErrorCode.INSUFFICIENT_TIMEOUT.value}
)
"""It was not sent, for what is here."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Asks over the link alone: no rate, no balance and no route takes part."""

    directory: AccountDirectory
    node_address: NodeAddress
    link: Outgoing
    links: LinkSource
    dial: Callable[[Account], Awaitable[None]]
    """Dials an account now that would be dialled later, and waits for what comes of it."""
    clock: Clock

    async def send(self, username: str) -> PingResult:
        """Send one; raises UnknownAccount, and Conflict where there is no address to send to."""
        account = find_account(self.directory, username)
        if (
            account.ilp_over_http_url is None
            and account.ilp_over_btp_url is None
            and not account.has_ilp_over_btp_incoming_token
        ):
            raise Conflict(
                f"{account.name} has no address to send to: it can only be heard when it sends"
            )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PING_MS / 1000):
                await self.dial(account)
        request = are_you_there(account, self.clock.now_ms() + PING_MS)
        sent_at = self.clock.monotonic()
        reply = await self.link.send(request)
        latency_us = round((self.clock.monotonic() - sent_at) * 1_000_000)
        milliseconds = f"{latency_us / 1000:.1f} ms"
        if not isinstance(reply, Reject):
            return PingResult(
                answered=True,
                latency_us=latency_us,
                sentence=f"{account.name} answered in {milliseconds}.",
            )
        code = reply.code.decode("ascii", "replace")
        if reply.triggered_by == self.node_address.current:
            return PingResult(
                answered=False, latency_us=latency_us, sentence=self._no_answer(account, reply)
            )
        return PingResult(
            answered=True,
            latency_us=latency_us,
            sentence=f"{account.name} answered in {milliseconds}, with {code} {error_words(code)},"
            " as is to be expected of an empty packet.",
        )

    def _no_answer(self, account: Account, reply: Reject) -> str:
        """Say why nothing came back, as exactly as is known: what the Reject says is for those who send."""
        if reply.code == ErrorCode.TRANSFER_TIMED_OUT.value:
            return f"{account.name} did not answer within {PING_MS // 1000} s."
        why = "" if reply.code in _OURS_TO_WAIT else self.links.problem(account)
        if not why:
            why = reply.message or error_words(reply.code)
            if why.startswith((account.name, account.username)):
                return why
        how = "" if reply.code == ErrorCode.PEER_UNREACHABLE.value else " as it should"
        return f"{account.name} did not answer{how}: {why}"
