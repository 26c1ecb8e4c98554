"""Is that node there, how long does a packet take to it and back, and what is left of an amount?"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from typing import Final, final

from core.account import Account, AccountDirectory, Asset, format_amount
from core.clock import Clock
from core.control.accounts import find_account
from core.control.peering_views import PingAttempt, PingKind, PingReport
from core.control.reasons import advice, origin_of
from core.control.words import counted
from core.errors import PacketError, SettingError
from core.node_address import NodeAddress
from core.packet import (
    AMOUNT_MAX,
    Address,
    ErrorCode,
    Fulfill,
    Prepare,
    Reject,
    Reply,
    address,
    scheme,
)
from core.routing.table import RoutingTable
from core.service import Incoming, IncomingRequest, Outgoing, own_packet
from core.services.echo import PING_CONDITION, Arrival, Pings, echo_request_data

PING_MS: Final = 10_000
"""How long an answer is waited for: there and back through several nodes, and a person is waiting."""
COUNT_MAX: Final = 100
"""One after another: so many take a minute or two where each takes a second."""
_KNOWS_NO_PINGS: Final = frozenset(
    code.value
    for code in (
        ErrorCode.BAD_REQUEST,
        ErrorCode.INVALID_PACKET,
        ErrorCode.UNREACHABLE,
        ErrorCode.WRONG_CONDITION,
        ErrorCode.UNEXPECTED_PAYMENT,
    )
)
"""What a node rejects a ping with whose kind it does not know; any other code is about this packet."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPing:
    """Sends pings over the way that a payment would take.

    One that carries nothing goes straight to the next hop's link, as nothing of it could be booked;
    one that carries an amount goes through the whole chain, as a packet of the account that pays it.
    """

    directory: AccountDirectory
    table: RoutingTable
    node_address: NodeAddress
    incoming: Incoming
    link: Outgoing
    pings: Pings
    clock: Clock
    random: Callable[[int], bytes] = secrets.token_bytes

    async def send(
        self,
        destination: str,
        *,
        kind: PingKind,
        amount: int,
        from_username: str | None,
        count: int,
    ) -> PingReport:
        """Return what came of them; raises SettingError and UnknownAccount."""
        target, peer = self._target(destination)
        _check_numbers(amount, count)
        sender = None if from_username is None else find_account(self.directory, from_username)
        if amount and sender is None:
            raise SettingError(
                "from", "it is missing: an amount is booked on the account that pays it"
            )
        attempts = []
        arrivals: list[Arrival] = []
        for _ in range(count):
            attempt, arrival = await self._once(target, peer, kind, amount, sender)
            attempts.append(attempt)
            if arrival is not None:
                arrivals.append(arrival)
        return _report(target, kind, amount, sender, attempts, arrivals)

    def _target(self, destination: str) -> tuple[Address, Account | None]:
        """Return the address, and the peer where it was named by its username."""
        text = destination.strip()
        if "." not in text:
            peer = find_account(self.directory, text)
            return peer.ilp_address, peer
        try:
            target = address(text)
        except PacketError as error:
            raise SettingError("destination", error.problem) from None
        if scheme(target) in {"peer", "self"}:
            raise SettingError("destination", f"{target} is for one link only, and no node")
        return target, None

    async def _once(
        self,
        target: Address,
        peer: Account | None,
        kind: PingKind,
        amount: int,
        sender: Account | None,
    ) -> tuple[PingAttempt, Arrival | None]:
        expires_at_ms = self.clock.now_ms() + PING_MS
        if kind is PingKind.ECHO:
            condition = self.pings.sent(self.random(32), expires_at_ms=expires_at_ms)
            data = echo_request_data(self.node_address.current)
        else:
            condition, data = PING_CONDITION, b""
        packet = Prepare.build(
            amount=amount,
            expires_at_ms=expires_at_ms,
            condition=condition,
            destination=target,
            data=data,
        )
        sent_at = self.clock.monotonic()
        try:
            reply, next_hop = await self._send(packet, target, peer, sender)
        finally:
            arrival = self.pings.done(condition)
        latency_us = round((self.clock.monotonic() - sent_at) * 1_000_000)
        answered, sentence = self._outcome(reply, condition, target, next_hop, latency_us)
        returned = None if arrival is None or not amount else arrival.amount
        attempt = PingAttempt(
            answered=answered,
            latency_us=latency_us,
            returned_amount=returned,
            sentence=sentence,
        )
        return attempt, arrival

    async def _send(
        self, packet: Prepare, target: Address, peer: Account | None, sender: Account | None
    ) -> tuple[Reply | None, Account | None]:
        """Return the answer, None where there is no way, and the next hop."""
        next_hop = peer or self._next_hop(target)
        if target == self.node_address.current:
            sender = sender or next(iter(self.directory.all()), None)
            if sender is None:
                raise SettingError(
                    "from", "this node has no account yet that a packet could come from"
                )
        if sender is not None:
            return await self.incoming.handle(IncomingRequest(sender, packet)), next_hop
        if next_hop is None:
            return None, None
        return await self.link.send(own_packet(next_hop, packet)), next_hop

    def _next_hop(self, target: Address) -> Account | None:
        route = self.table.look_up(target)
        return None if route is None else self.directory.by_id(route.next_hop)

    def _outcome(
        self,
        reply: Reply | None,
        condition: bytes,
        target: Address,
        next_hop: Account | None,
        latency_us: int,
    ) -> tuple[bool, str]:
        """Return whether the other end answered, and a sentence."""
        if reply is None:
            return False, f"There is no route to {target}."
        took = _milliseconds(latency_us)
        if isinstance(reply, Fulfill):
            if sha256(reply.fulfillment).digest() == condition:
                return True, f"{target} answered in {took}."
            return (
                False,
                f"What came back in {took} proves nothing: it fulfills another condition.",
            )
        if reply.triggered_by == target and target != self.node_address.current:
            knows = bytes(reply.code) not in _KNOWS_NO_PINGS
            why = "" if knows else " It does not answer pings of this kind."
            return True, (
                f"{target} is there and answered in {took}, with a reject.{why} {_said(reply)}"
            )
        code = reply.code.decode("ascii", "replace")
        hop = None if next_hop is None else next_hop.ilp_address
        origin = origin_of(reply.triggered_by, ours=self.node_address.current, next_hop=hop)
        name = None if next_hop is None else next_hop.name
        return False, f"{_said(reply)} {advice(code, origin, next_hop=name)}"


def _check_numbers(amount: int, count: int) -> None:
    if not 0 <= amount <= AMOUNT_MAX:
        raise SettingError("amount", f"{amount} was found; a packet carries 0 to {AMOUNT_MAX}")
    if not 1 <= count <= COUNT_MAX:
        raise SettingError("count", f"{count} was found; it needs 1 to {COUNT_MAX}")


def _said(reject: Reject) -> str:
    code = reject.code.decode("ascii", "replace")
    who = reject.triggered_by or "a node that does not say which"
    said = f": {reject.message.rstrip('.')}" if reject.message else ""
    return f"{code} from {who}{said}."


def _milliseconds(latency_us: int) -> str:
    return f"{latency_us // 1000}.{latency_us % 1000 // 100} ms"


def _report(
    target: Address,
    kind: PingKind,
    amount: int,
    sender: Account | None,
    attempts: Sequence[PingAttempt],
    arrivals: Sequence[Arrival],
) -> PingReport:
    latencies = [attempt.latency_us for attempt in attempts if attempt.answered]
    mean = sum(latencies) // len(latencies) if latencies else None
    asset = sender.asset if sender is not None and amount else None
    returned_asset = arrivals[0].asset if asset is not None and arrivals else None
    rate = None
    if asset is not None and returned_asset is not None:
        rate = _rate(amount, asset, arrivals, returned_asset)
    return PingReport(
        destination=target,
        kind=kind,
        attempts=tuple(attempts),
        amount=amount,
        asset=asset,
        returned_asset=returned_asset,
        rate=rate,
        latency_us_least=min(latencies, default=None),
        latency_us_mean=mean,
        latency_us_most=max(latencies, default=None),
        sentence=_summary(target, amount, asset, attempts, mean, arrivals, rate),
    )


def _rate(
    amount: int, asset: Asset, arrivals: Sequence[Arrival], returned_asset: Asset
) -> Fraction | None:
    """Return whole units back for one sent; None where what came back counts in several assets."""
    if any(arrival.asset != returned_asset for arrival in arrivals):
        return None
    returned = Fraction(sum(arrival.amount for arrival in arrivals), 10**returned_asset.scale)
    return returned / (len(arrivals) * Fraction(amount, 10**asset.scale))


def _summary(
    target: Address,
    amount: int,
    asset: Asset | None,
    attempts: Sequence[PingAttempt],
    mean: int | None,
    arrivals: Sequence[Arrival],
    rate: Fraction | None,
) -> str:
    if mean is None:
        return attempts[-1].sentence
    answered = sum(attempt.answered for attempt in attempts)
    if len(attempts) == 1:
        sentence = attempts[0].sentence
    else:
        sentence = (
            f"{target} answered {answered} of {counted(len(attempts), 'ping')},"
            f" in {_milliseconds(mean)} on average."
        )
    if asset is not None and rate is not None:
        back = format_amount(arrivals[-1].amount, arrivals[-1].asset)
        sentence += f" Of {format_amount(amount, asset)}, {back} came back."
    return sentence
