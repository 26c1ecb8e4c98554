"""Tells the peers: asks each for its routes, and tells it ours, over its link alone.

As a ping, such a message meets no rate, no balance and no route. A peer that is slow or gone delays
nobody else: each has its own task while a message of it is under way, and at most one of each kind.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import Final, final

from core.account import Account
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, error_words
from core.routing.ccp import (
    CONDITION,
    CONTROL_DESTINATION,
    FULFILLMENT,
    NO_TABLE,
    UPDATE_DESTINATION,
    Mode,
    RouteControl,
)
from core.routing.exchange import RouteExchange
from core.routing.forwarding import ForwardingLog, Listener
from core.routing.peer import Peer
from core.service import Outgoing, own_packet
from core.tasks import TaskOwner

log = logging.getLogger(__name__)

ANSWER_MS: Final = 30_000
"""How long an answer is waited for."""
UPDATE_GAP_SECONDS: Final = 0.15
"""Between two updates to one peer, as ilp-connector keeps it."""
ASK_GAP_SECONDS: Final = 1.0
"""Between two questions to one peer, however often it tells what does not follow."""
REFUSALS_MAX: Final = 3
"""So often a peer says no before it is taken to mean it."""
RARELY_SECONDS: Final = 3_600.0
"""Then it is tried again: its operator may have changed its mind, or its program."""
_FIRST_RETRY_SECONDS: Final = 1.0


@final
class Speaker:
    """Sends what is due."""

    def __init__(
        self,
        exchange: RouteExchange,
        link: Outgoing,
        tasks: TaskOwner,
        speaks: Callable[[Account], bool],
    ) -> None:
        """`speaks` tells whether this process is the one of several on one store that talks to a peer."""
        self._exchange = exchange
        self._link = link
        self._tasks = tasks
        self._speaks = speaks
        self._writing = asyncio.Lock()

    def tick(self) -> float | None:
        """Start sending whatever is due; return when the next thing is, on the monotonic clock.

        What there is no room for stays due.
        """
        exchange, now = self._exchange, self._exchange.clock.monotonic()
        exchange.news_for_listeners()
        soonest: float | None = None
        for peer in exchange.peers.values():
            asking, telling = peer.asking, peer.telling
            speaks = self._speaks(peer.account)
            if telling.is_elsewhere is speaks:
                telling.is_elsewhere = not speaks
                if not speaks:
                    # It is told another process's table meanwhile.
                    exchange.start_telling_anew(peer)
                    asking.by_another = exchange.own_is_old = True
                    asking.problem = telling.problem = ""
                    telling.failures = 0
            if asking.due is not None and not asking.under_way:
                due = max(asking.due, (asking.last or -ASK_GAP_SECONDS) + ASK_GAP_SECONDS)
                if due > now:
                    soonest = due if soonest is None else min(soonest, due)
                elif (speaks or asking.after_gap) and not self._tasks.is_full:
                    asking.under_way = True
                    asking.due, asking.last = None, now
                    self._start(self._ask(peer), peer, "ask")
            if speaks and peer.listens and telling.due is not None and not telling.under_way:
                gap = UPDATE_GAP_SECONDS
                due = max(telling.due, -gap if telling.sent is None else telling.sent + gap)
                if due > now:
                    soonest = due if soonest is None else min(soonest, due)
                elif exchange.log is not None and not self._tasks.is_full:
                    telling.under_way = True
                    telling.due, telling.sent = None, now
                    self._start(self._tell(peer, exchange.log), peer, "tell")
        return soonest

    def _start(self, work: Coroutine[None, None, None], peer: Peer, what: str) -> None:
        self._tasks.start(work, name=f"{what} {peer.account.username}")

    # --- Asking for a peer's routes

    async def _ask(self, peer: Peer) -> None:
        asking, heard = peer.asking, peer.heard
        try:
            if asking.tell_idle:
                control = RouteControl(Mode.IDLE, NO_TABLE, 0)
            else:
                control = RouteControl(Mode.SYNC, heard.table_id, heard.epoch)
            reply = await self._send(peer.account, CONTROL_DESTINATION, control.encode())
        finally:
            asking.under_way = False
        if control.mode is Mode.IDLE:
            asking.tell_idle = False
            return
        if not peer.takes:
            return
        exchange, now = self._exchange, self._exchange.clock.monotonic()
        interval = exchange.timing.interval_ms / 1000
        if _is_yes(reply):
            why = "with yes, and has told none yet."
            if asking.has_told:
                exchange.own_is_old |= asking.given_up
                asking.refusals, asking.given_up = 0, False
            else:
                asking.refusals += 1  # a parent says yes to each child, and may tell it nothing
            asking.problem = ""
            if asking.refusals < REFUSALS_MAX:
                if heard.expires is None and asking.due is None:
                    asking.due = now + 2 * interval  # unless it tells something before
                return
        elif self._is_ours(reply):
            why = _why_not(reply)
            asking.problem = f"It cannot be asked for its routes: {why}"
        else:
            why = _why_not(reply)
            asking.refusals += _is_meant(reply)
            asking.problem = f"Asked for its routes, it answered {why}"
        if asking.refusals >= REFUSALS_MAX:
            exchange.own_is_old |= not asking.given_up
            if not asking.given_up:
                log.info(
                    "%s does not tell its routes, and is asked rarely from now on: %s",
                    peer.account.username,
                    why,
                )
            asking.given_up = True
            asking.due = now + RARELY_SECONDS
        else:
            asking.due = now + interval

    # --- Telling ours

    async def _tell(self, peer: Peer, table: ForwardingLog) -> None:
        telling, exchange = peer.telling, self._exchange
        try:
            async with self._writing:  # of all that are due one a round of the loop
                await asyncio.sleep(0)
                table = exchange.log or table
                if telling.table_id == NO_TABLE or telling.epoch < table.floor:
                    telling.table_id, telling.epoch = uuid.uuid4().bytes, 0
                asked = telling.asked
                told = table.tell(
                    Listener(
                        table_id=telling.table_id,
                        may_tell=lambda route: exchange.may_tell(peer, route.next_hop),
                        only_under=peer.account.export_prefixes,
                        withdraw_others=telling.withdraw_others,
                    ),
                    telling.epoch,
                    hold_down_ms=exchange.timing.hold_down_ms,
                )
            reply = await self._send(peer.account, UPDATE_DESTINATION, told.octets)
        finally:
            telling.under_way = False
        now = exchange.clock.monotonic()
        interval = exchange.timing.interval_ms / 1000
        if _is_yes(reply):
            telling.sent_at_ms = exchange.clock.now_ms()
            telling.failures = telling.refusals = 0
            telling.problem = ""
            if telling.asked != asked or table is not exchange.log:
                telling.due = now  # it has asked meanwhile, and said from where
                return
            telling.epoch = told.to_epoch
            if told.to_epoch < table.current:
                telling.due = now
            else:
                telling.withdraw_others = False
                telling.due = now + interval if telling.due is None else telling.due
            self._forget_what_all_have_heard(table)
            return
        why = _why_not(reply)
        telling.failures += 1
        if self._is_ours(reply):
            telling.problem = f"It cannot be told our routes: {why}"
            wait = min(_FIRST_RETRY_SECONDS * 2.0 ** min(telling.failures - 1, 20), interval)
        else:
            telling.refusals += _is_meant(reply)
            telling.problem = f"Told our routes, it answered {why}"
            wait = interval if telling.refusals < REFUSALS_MAX else RARELY_SECONDS
        telling.due = now + wait

    def _forget_what_all_have_heard(self, table: ForwardingLog) -> None:
        heard = [
            peer.telling.epoch
            for peer in self._exchange.peers.values()
            if peer.listens and not peer.telling.is_elsewhere
        ]
        table.heard(min(heard, default=table.current))

    # --- Over the link

    async def _send(self, account: Account, destination: str, data: bytes) -> Reply:
        prepare = Prepare.build(
            amount=0,
            expires_at_ms=self._exchange.clock.now_ms() + ANSWER_MS,
            condition=CONDITION,
            destination=destination,
            data=data,
        )
        return await self._link.send(own_packet(account, prepare))

    def _is_ours(self, reply: Reply) -> bool:
        """Tell whether a no is our own link's, which did not reach the peer."""
        return (
            isinstance(reply, Reject) and reply.triggered_by == self._exchange.address.current
        )


def _is_yes(reply: Reply) -> bool:
    return isinstance(reply, Fulfill) and bytes(reply.fulfillment) == FULFILLMENT


def _is_meant(reply: Reply) -> bool:
    """Tell whether a no is more than bad luck: of what passes, only the T00 of programs that know no better is."""
    return (
        isinstance(reply, Fulfill)
        or reply.code[:1] == b"F"
        or reply.code == ErrorCode.INTERNAL_ERROR.value
    )


def _why_not(reply: Reply) -> str:
    """Return the code and the message of a no, as the end of a sentence."""
    if isinstance(reply, Fulfill):
        return "with a fulfillment that is not the protocol's."
    if reply.code == ErrorCode.TRANSFER_TIMED_OUT.value:
        return f"no answer came within {ANSWER_MS // 1000} s."
    code = reply.code.decode("ascii", "replace")
    words = f"{code} {error_words(code)}"
    return f"{words}: {reply.message}" if reply.message else f"{words}."
