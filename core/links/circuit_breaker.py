"""A link that has failed too often in a row is left alone for a while: its packets are rejected at once.

Packets for a peer that is gone would each wait out a time limit, and hold money for as long. So after
some failures without one answer in between nothing is sent; after a pause one packet is a test,
and the link is as before once it is answered. Each failed test doubles the pause.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, Protocol, final

from core.account import Account
from core.clock import Clock
from core.links.link_states import LinkHistory, LinkStates
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reply
from core.service import Explanation, Outgoing, OutgoingRequest, Step, Verdict

FAILURES_MAX: Final = 5
"""In a row. One or two are a peer that starts anew, and its next packet may well be answered."""
HOLD_SECONDS_FIRST: Final = 1.0
HOLD_SECONDS_MAX: Final = 30.0
"""A peer that is back is used again within this, if there are packets for it, or at its own first BTP connection."""


class ClosableLink(Outgoing, Protocol):
    """A link, as the node closes it."""

    async def close(self, drain_seconds: float) -> None: ...


@final
class CircuitBreaker:
    """Stands before a link; what is a failure, the link says, by what it writes of itself."""

    def __init__(
        self, link: ClosableLink, *, states: LinkStates, address: NodeAddress, clock: Clock
    ) -> None:
        self.link: Final = link
        """The link itself, for whoever wants to know now."""
        self._states = states
        self._address = address
        self._clock = clock

    def send(self, request: OutgoingRequest[Account]) -> Coroutine[Any, Any, Reply]:
        history = self._states.history(request.to_account.id)
        if history.failures_in_row < FAILURES_MAX:
            # The link's own, so that a sound peer's packets cost nothing more.
            return self.link.send(request)
        return self._send_to_failing(request, history)

    async def _send_to_failing(
        self, request: OutgoingRequest[Account], history: LinkHistory
    ) -> Reply:
        if self._is_held(history):
            return self._address.reject(
                ErrorCode.PEER_UNREACHABLE, self._sentence(request.to_account, history)
            )
        return await self._test(request, history)

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        history = self._states.history(request.to_account.id)
        if history.failures_in_row >= FAILURES_MAX and self._is_held(history):
            sentence = self._sentence(request.to_account, history)
            reject = self._address.reject(ErrorCode.PEER_UNREACHABLE, sentence)
            return (Step("circuit breaker", Verdict.REJECTS, sentence, reject),)
        return await self.link.explain(request)

    async def close(self, drain_seconds: float) -> None:
        await self.link.close(drain_seconds)

    def _is_held(self, history: LinkHistory) -> bool:
        """Tell whether nothing is sent now: a test is under way, or the pause is not over."""
        if history.is_tested:
            return True
        if history.hold_seconds == 0 and history.last_failure is not None:
            # The failure that was one too many; from here on each test sets the next pause.
            history.hold_seconds = HOLD_SECONDS_FIRST
            history.held_until = history.last_failure + HOLD_SECONDS_FIRST
        return self._clock.monotonic() < (history.held_until or 0)

    async def _test(self, request: OutgoingRequest[Account], history: LinkHistory) -> Reply:
        """Send this one packet, and let what becomes of it decide."""
        history.is_tested = True
        try:
            return await self.link.send(request)
        finally:
            history.is_tested = False
            if history.failures_in_row >= FAILURES_MAX:
                history.hold_seconds = min(2 * history.hold_seconds, HOLD_SECONDS_MAX)
                history.held_until = self._clock.monotonic() + history.hold_seconds

    def _sentence(self, account: Account, history: LinkHistory) -> str:
        return f"Nothing is sent to {account.username} for now: {history.reason} {self._states.hold_words(history)}"
