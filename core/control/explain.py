"""Where would a packet go? The chain walked dry, and its last word as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final, final

from core.account import Account, AccountDirectory, format_amount
from core.clock import Clock
from core.control.accounts import find_account
from core.control.routes import RouteDesk
from core.control.views import RouteAnswer, RouteView
from core.errors import PacketError, SettingError
from core.packet import AMOUNT_MAX, Address, Prepare, address
from core.routing.table import RoutingTable
from core.service import UNFULFILLABLE, Explanation, Fact, Incoming, IncomingRequest, Verdict

EXPIRES_IN_MS_MAX: Final = 24 * 3_600_000
SENDERS_TRIED_MAX: Final = 5
"""So many stand in for a sender that was not named: one of them may have nothing left to send."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Asks every service what it would do; nothing is booked, counted or sent."""

    directory: AccountDirectory
    table: RoutingTable
    routes: RouteDesk
    incoming: Incoming
    clock: Clock

    async def explain(
        self, destination: str, *, amount: int, from_username: str | None, expires_in_ms: int
    ) -> RouteAnswer:
        """Return the answer; raises SettingError for what is no packet, and UnknownAccount."""
        target = _destination(destination)
        if not 0 <= amount <= AMOUNT_MAX:
            raise SettingError(
                "amount", f"{amount} was found; a packet carries 0 to {AMOUNT_MAX}"
            )
        if not 0 < expires_in_ms <= EXPIRES_IN_MS_MAX:
            raise SettingError(
                "expires_in_ms", f"{expires_in_ms} was found; it needs 1 to {EXPIRES_IN_MS_MAX}"
            )
        covering = self.table.covering(target)
        packet = _Packet(
            target,
            amount,
            expires_in_ms,
            covering[0].prefix if covering else None,
            tuple(self.routes.view(route) for route in covering[1:]),
        )
        first: RouteAnswer | None = None
        for sender in self._senders(target, from_username):
            answer = await self._walk(packet, sender)
            if answer.forwarded:
                return answer
            first = first or answer
        return first or _unsendable(packet)

    async def _walk(self, packet: _Packet, sender: Account) -> RouteAnswer:
        now_ms = self.clock.now_ms()
        prepare = Prepare.build(
            amount=packet.amount,
            expires_at_ms=now_ms + packet.expires_in_ms,
            condition=UNFULFILLABLE,
            destination=packet.destination,
        )
        steps = await self.incoming.explain(IncomingRequest(sender, prepare))
        facts = _facts(steps)
        next_hop = self._next_hop(facts)
        outgoing_amount = _integer(facts.get("outgoing_amount"))
        expires_at_ms = _integer(facts.get("expires_at_ms"))
        forwarded = bool(steps) and steps[-1].verdict is Verdict.SENDS
        expires_after_ms = (
            expires_at_ms - now_ms if forwarded and expires_at_ms is not None else None
        )
        return RouteAnswer(
            forwarded=forwarded,
            sentence=_sentence(sender, packet.amount, next_hop, outgoing_amount, steps),
            prefix=str(facts["prefix"]) if "prefix" in facts else packet.prefix,
            next_hop=None if next_hop is None else next_hop.username,
            incoming_amount=packet.amount,
            incoming_asset=sender.asset,
            outgoing_amount=outgoing_amount,
            outgoing_asset=None if next_hop is None else next_hop.asset,
            expires_in_ms=expires_after_ms,
            alternatives=packet.alternatives,
            steps=steps,
        )

    def _senders(self, destination: Address, from_username: str | None) -> Sequence[Account]:
        """Return who could send it, the likeliest first: who was named, or some that are not the next hop.

        Those whose amounts are the next hop's come first, and those who may owe us without limit.
        """
        if from_username is not None:
            return (find_account(self.directory, from_username),)
        route = self.table.look_up(destination)
        next_hop = None if route is None else self.directory.by_id(route.next_hop)
        others = (
            account
            for account in self.directory.all()
            if account.enabled and (next_hop is None or account.id != next_hop.id)
        )
        return nsmallest(
            SENDERS_TRIED_MAX,
            others,
            key=lambda account: (
                next_hop is not None and account.asset != next_hop.asset,
                account.min_balance is not None,
                account.username,
            ),
        )

    def _next_hop(self, facts: dict[str, Fact]) -> Account | None:
        name = facts.get("next_hop")
        return self.directory.by_username(name) if isinstance(name, str) else None


@final
@dataclass(frozen=True, slots=True)
class _Packet:
    """What is asked about, and what the table says of it whoever sends it."""

    destination: Address
    amount: int
    expires_in_ms: int
    prefix: str | None
    alternatives: Sequence[RouteView]


def _unsendable(packet: _Packet) -> RouteAnswer:
    return RouteAnswer(
        forwarded=False,
        sentence="There is no other account that could send it: add one, or resume one.",
        prefix=packet.prefix,
        next_hop=None,
        incoming_amount=packet.amount,
        incoming_asset=None,
        outgoing_amount=None,
        outgoing_asset=None,
        expires_in_ms=None,
        alternatives=packet.alternatives,
        steps=(),
    )


def _destination(text: str) -> Address:
    try:
        return address(text.strip())
    except PacketError as error:
        raise SettingError("destination", error.problem) from None


def _facts(steps: Explanation) -> dict[str, Fact]:
    """Return what all steps state; where two state the same, the later one holds."""
    facts: dict[str, Fact] = {}
    for step in steps:
        facts.update(step.facts)
    return facts


def _integer(fact: Fact) -> int | None:
    return fact if isinstance(fact, int) and not isinstance(fact, bool) else None


def _sentence(
    sender: Account,
    amount: int,
    next_hop: Account | None,
    outgoing_amount: int | None,
    steps: Explanation,
) -> str:
    incoming = format_amount(amount, sender.asset)
    last = steps[-1] if steps else None
    if last is None:
        return "The chain has no service that decides."
    if last.verdict is Verdict.SENDS and next_hop is not None:
        given = amount if outgoing_amount is None else outgoing_amount
        return (
            f"{incoming} from {sender.name} would go to {next_hop.name},"
            f" who would be given {format_amount(given, next_hop.asset)}."
        )
    if last.verdict is Verdict.REJECTS and last.reject is not None:
        code = last.reject.code.decode("ascii", "replace")
        return f"{incoming} from {sender.name} would be rejected with {code}: {last.sentence}"
    return last.sentence
