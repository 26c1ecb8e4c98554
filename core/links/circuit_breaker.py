"""A link whose other side seems gone is left alone for a while: its packets are rejected at once.

Packets for a peer that is gone would each wait out a time limit, and hold money for as long. So after
some failures without a sign of life in between nothing is sent; after a pause one packet is a test, and
the link is as before once anything is answered. Each failed test doubles the pause. Questions of ours to the
peer itself are sent all the same: by those it is found out that it is back, and its routes with it.

That packets are not answered in time is no such failure by itself: a receiver that is slow, or means
harm, lets a sound peer look so. After some of them the peer is asked itself, by an empty packet that it
passes on to nobody. If it answers, nothing is held back; if not, it seems gone.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, Protocol, final

from core.account import Account
from core.clock import Clock
from core.links.link_states import FAILURES_MAX, LinkHistory, LinkStates, asks_itself
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, Outgoing, OutgoingRequest, Step, Verdict, are_you_there
from core.tasks import TaskOwner

HOLD_SECONDS_FIRST: Final = 1.0
HOLD_SECONDS_MAX: Final = 30.0
"""A peer that is back is used again within this, if there are packets for it, or at its own first BTP connection."""
ANSWER_MS: Final = 5_000
"""How long the answer to our own question is waited for."""
QUESTIONS_MAX: Final = 1_000
"""Under way at once, one a peer."""


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
        self._questions = TaskOwner("circuit breaker", tasks_max=QUESTIONS_MAX)

    def send(self, request: OutgoingRequest[Account]) -> Coroutine[Any, Any, Reply]:
        history = self._states.history(request.to_account.id)
        if history.is_sound:
            # The link's own, so that a sound peer's packets cost nothing more.
            return self.link.send(request)
        return self._send_to_failing(request, history)

    async def _send_to_failing(
        self, request: OutgoingRequest[Account], history: LinkHistory
    ) -> Reply:
        if history.unreachable_in_row < FAILURES_MAX:
            self._ask(request.to_account, history)
            return await self.link.send(request)
        if asks_itself(
            request
        ):  # few, without money, and the first to find out that it is back
            return await self.link.send(request)
        if self._is_held(history):
            return self._reject(request.to_account)
        return await self._test(request, history)

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        history = self._states.history(request.to_account.id)
        if history.unreachable_in_row >= FAILURES_MAX and self._is_held(history):
            sentence = (
                f"Nothing is sent to {request.to_account.username} for now: {history.reason} "
                f"{self._states.hold_words(history)}"
            )
            reject = self._reject(request.to_account)
            return (Step("circuit breaker", Verdict.REJECTS, sentence, reject),)
        return await self.link.explain(request)

    async def close(self, drain_seconds: float) -> None:
        await self._questions.finish(0)
        await self.link.close(drain_seconds)

    def _is_held(self, history: LinkHistory) -> bool:
        """Tell whether nothing is sent now: a test is under way, or the pause is not over."""
        if history.is_tested:
            return True
        if history.hold_seconds == 0:
            # The failure that was one too many; from here on each test sets the next pause.
            history.hold_seconds = HOLD_SECONDS_FIRST
            history.held_until = history.last_unreachable + HOLD_SECONDS_FIRST
        return self._clock.monotonic() < (history.held_until or 0)

    async def _test(self, request: OutgoingRequest[Account], history: LinkHistory) -> Reply:
        """Send this one packet, and let what becomes of it decide, or of a question beside it: its receiver may be slow."""
        history.is_tested = True
        self._ask(request.to_account, history)
        try:
            return await self.link.send(request)
        finally:
            history.is_tested = False
            if history.unreachable_in_row >= FAILURES_MAX:
                history.hold_seconds = min(2 * history.hold_seconds, HOLD_SECONDS_MAX)
                history.held_until = self._clock.monotonic() + history.hold_seconds

    def _ask(self, account: Account, history: LinkHistory) -> None:
        """Ask the other side whether it is there, unless that is under way."""
        if not history.is_asked:
            history.is_asked = self._questions.start(
                self._question(account, history), name=f"ask {account.username}"
            )

    async def _question(self, account: Account, history: LinkHistory) -> None:
        question = are_you_there(account, self._clock.now_ms() + ANSWER_MS)
        try:
            reply = await self.link.send(question)
        finally:
            history.is_asked = False
        is_silent = (
            isinstance(reply, Reject)
            and reply.code == ErrorCode.TRANSFER_TIMED_OUT.value
            and reply.triggered_by == self._address.current
        )
        if is_silent and not history.is_sound:  # nothing else was answered meanwhile either
            history.unreachable_in_row = max(history.unreachable_in_row, FAILURES_MAX)

    def _reject(self, account: Account) -> Reject:
        """Say upstream that it is so; why is for the operator alone."""
        return self._address.reject(
            ErrorCode.PEER_UNREACHABLE, f"{account.username} cannot be reached for now."
        )
