"""A payment under way: what to send next, and what every reply means for it. Does no I/O.

Rule 1: what is fulfilled and what is in flight never add up to more than may be sent.
Rule 2: every packet says the least that its receiver must get, `ceil(amount × least rate)`; the one that
        finishes a fixed delivery says all that is missing, and costs at most what that does at the
        least rate, rounded up to a whole unit; or, once that has fallen short, what may still be sent.
Rule 3: an ILP packet's own type decides whether money moved; only what the receiver itself wrote
        tells how much arrived, and a reject's code is all that is taken from anybody else.
Rule 4: whatever happens, it ends: each way of waiting has a bound, and what was sent is told.
"""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random
from typing import Final, final

from core.account import Asset, format_amount
from core.packet import AMOUNT_MAX, Reply, error_words
from core.stream.frames import (
    UINT_MAX,
    ConnectionAssetDetails,
    ConnectionClose,
    Frame,
    StreamClose,
    StreamData,
    StreamErrorCode,
    StreamMaxMoney,
    StreamMoney,
    StreamMoneyBlocked,
)
from core.stream.packet import StreamPacket
from core.stream.sender.connection import Answer, Connection, Sent
from core.stream.sender.data import STREAM_ID, IncomingData, OutgoingData
from core.stream.sender.exchange import GRACE_SECONDS, SenderLimits
from core.stream.sender.path_maximum import PathMaximum
from core.stream.sender.pauses import Pauses
from core.stream.sender.rate import (
    RateEstimate,
    amount_to_deliver,
    amount_to_finish,
    amount_to_send,
    largest_carried,
    per_ceil,
    per_floor,
    times_ceil,
    times_floor,
)
from core.stream.sender.receipts import BestReceipts
from core.stream.sender.terms import Outcome, OutcomeState, PaymentTerms, Progress, Quote
from core.stream.sender.window import Window
from core.stream.told_asset import told_asset

SHORTFALLS_MAX: Final = 20
"""So many packets in a row that would be delivered for too little, with growing pauses: it will not get better."""

REST_SHORTFALLS_MAX: Final = 4
"""So many times a rest is tried that is smaller than what came as it must: hops' rounding stays as it is."""

REFUSALS_MAX: Final = 5
"""So many packets in a row that the receiver itself refuses without a reason that we could mend."""

VIOLATIONS_KEPT: Final = 5

CRUMB_SHARE: Final = Fraction(1, 50)
"""A payment of which so little is left to rounding is complete; more says that its least rate is too strict."""

WORDS_OCTETS_MAX: Final = 256
"""Of a receiver's own words, in a sentence of ours."""

PACKET_SECONDS_MAX: Final = 60.0
"""A hop that wants more time than we give gets more, but not so much that a lost packet holds all up."""

_MONEY: Final = StreamMoney(STREAM_ID, 1)
_CLOSE: Final = (
    StreamClose(STREAM_ID, StreamErrorCode.NO_ERROR, ""),
    ConnectionClose(StreamErrorCode.NO_ERROR, ""),
)


@final
class Payment:
    """Decides, packet by packet, how the terms are met over the path that was quoted."""

    def __init__(
        self,
        terms: PaymentTerms,
        quote: Quote,
        limits: SenderLimits,
        random: Random,
        *,
        now: float,
    ) -> None:
        self._limits = limits
        self._min_rate = quote.min_rate
        self._source_max = quote.source_amount
        self._to_deliver = terms.delivered_amount
        self._connection = Connection(
            terms.destination,
            terms.shared_secret,
            first_sequence=max(terms.first_sequence, quote.next_sequence),
        )
        self._estimate = RateEstimate(quote.rate_low, quote.rate_high)
        self._carried_max = largest_carried(quote.min_rate)
        self._path = PathMaximum(quote.path_maximum)
        first = limits.packets_in_flight_first
        self._packets = Window(first, increase=1, maximum=limits.packets_in_flight_max)
        packet = max(1, min(self._path.limit, quote.source_amount, quote.passed))
        self._amounts = Window(packet * first, increase=packet)
        """How much may be in flight, at first what has passed; below one packet it makes packets smaller."""
        self._pauses = Pauses(random)
        self._data = OutgoingData(terms.data)
        self._received_data = IncomingData()
        self._receipts = BestReceipts()
        self._asset: Asset | None = quote.destination_asset
        self._source_asset = terms.source_asset

        self._in_flight: dict[int, Sent] = {}
        self._in_flight_amount = 0
        self._in_flight_units = 0
        """What is in flight is likely delivered as, at most."""
        self._source_sent = 0
        self._delivered = 0
        self._delivered_exact = True
        self._room: int | None = None
        """The most that the receiver takes on the stream; None while it has not said."""
        self._room_is_strict = False
        """Whether it has refused a packet for less than one unit over that."""
        self._room_takes_no_crumb = False
        """Whether it has refused the least that can be sent, too."""
        self._asks_for_room = False
        self._fulfilled = 0
        self._rejected = 0
        self._shortfalls = 0
        self._best_amount = quote.best_amount
        self._keeps_to = 0
        """The best amount, once another has fallen short: where hops round, others bring less."""
        self._refusals = 0
        self._round_starts_at = 0
        """Packets below this number were sent before we last slowed down: they say nothing new."""
        self._packet_seconds = limits.packet_seconds
        self._heard = False
        self._last_reject: Answer | None = None
        self._violations: list[str] = []

        self._started_at = now
        self._idle_since = now
        self._answers_by = now
        """When every packet in flight must have been answered."""
        self._pausing = False
        self._closed = ""
        """Why the receiver closed, once it has."""
        self._end: tuple[OutcomeState, str] | None = None
        self._ending_reject: Answer | None = None
        self._close_sent = False
        self._unanswered = 0

    # --- What a driver calls

    @property
    def is_finished(self) -> bool:
        return self._end is not None and not self._in_flight and not self._close_is_due

    def next_packet(self, now: float, now_ms: int) -> Sent | None:
        if self._end is None:
            self._look_at_the_clock(now)
        self._pausing = False
        if self._end is not None:
            return self._closing_packet(now, now_ms)
        if len(self._in_flight) >= self._packets.size:
            return None
        if now < self._pauses.until:
            self._pausing = True
            return None
        if self._connection.is_exhausted:
            self._finish(
                OutcomeState.EXHAUSTED, "The connection has carried all packets that one may."
            )
            return self._closing_packet(now, now_ms)
        amount = self._next_amount()
        if amount:
            return self._money_packet(amount, now, now_ms)
        if self._data.is_ready:
            return self._build(0, 0, self._data.take(), now, now_ms)
        if self._in_flight:
            return None
        return self._when_nothing_moves(now, now_ms)

    def wake_at(self) -> float:
        if self._end is not None:
            return self._answers_by
        moment = self._idle_since + self._limits.idle_seconds
        if self._limits.total_seconds is not None:
            moment = min(moment, self._started_at + self._limits.total_seconds)
        return min(moment, self._pauses.until) if self._pausing else moment

    def replied(self, sent: Sent, reply: Reply, now: float) -> None:
        if self._in_flight.pop(sent.sequence, None) is None:
            return  # given up
        self._in_flight_amount -= sent.amount
        self._in_flight_units -= sent.units
        answer = self._connection.read(sent, reply)
        if answer.violation:
            self._note(answer.violation)
        if answer.authentic is not None:
            self._heard = True
            self._hear(answer.authentic)
        if answer.is_fulfilled:
            self._take_fulfill(sent, answer, now)
        elif sent.frames is not _CLOSE:
            self._take_reject(sent, answer, now)
        if self._closed and self._end is None:
            done = self._is_paid and self._data.is_done
            state = OutcomeState.COMPLETED if done else OutcomeState.CLOSED
            self._finish(state, self._closed + _said(self._received_data.octets), answer)

    def cancel(self) -> None:
        """Send nothing more; what is in flight is still waited for."""
        if self._end is None:
            self._finish(OutcomeState.CANCELLED, "It was cancelled.")

    def give_up(self, now: float) -> None:
        """Once `wake_at` of an ended payment has passed: wait no longer for what was not answered."""
        if self._end is not None and now >= self._answers_by:
            self._unanswered += self._in_flight_amount
            self._in_flight.clear()
            self._in_flight_amount = self._in_flight_units = 0
            self._close_sent = True

    def progress(self, now: float) -> Progress:
        """Return how far it is."""
        last = self._last_reject
        return Progress(
            source_sent=self._source_sent,
            delivered=self._delivered,
            delivered_exact=self._delivered_exact,
            in_flight=self._in_flight_amount,
            packets_in_flight=len(self._in_flight),
            packets_fulfilled=self._fulfilled,
            packets_rejected=self._rejected,
            packet_amount=self._limit,
            window=self._packets.size,
            waits=now < self._pauses.until,
            last_reject_code=last.code if last else "",
            next_sequence=self._connection.next_sequence,
            violations=tuple(self._violations),
            receipts=dict(self._receipts.best),
            received_data=self._received_data.octets,
        )

    def outcome(self, now: float) -> Outcome:
        """Return what became of it, once it is finished."""
        assert self._end is not None
        state, reason = self._end
        ended_early = state not in {OutcomeState.COMPLETED, OutcomeState.VIOLATION}
        if ended_early and self._is_paid and self._data.is_done:
            # What was in flight when it ended has completed it.
            state, reason = OutcomeState.COMPLETED, f"All was sent all the same. {reason}"
        blamed = None
        if state is not OutcomeState.COMPLETED:
            blamed = self._ending_reject or self._last_reject
        return Outcome(
            state=state,
            reason=reason,
            source_sent=self._source_sent,
            delivered=self._delivered,
            delivered_exact=self._delivered_exact,
            unanswered=self._unanswered,
            reject_code=blamed.code if blamed else "",
            triggered_by=blamed.triggered_by if blamed else "",
            packets_fulfilled=self._fulfilled,
            packets_rejected=self._rejected,
            violations=tuple(self._violations),
            receipts=dict(self._receipts.best),
            received_data=self._received_data.octets,
            data_sent=self._data.acknowledged,
            destination_asset=self._asset,
            seconds=now - self._started_at,
            next_sequence=self._connection.next_sequence,
        )

    # --- What to send

    @property
    def _limit(self) -> int:
        """The largest packet that the path lets through and whose minimum can be said."""
        path = self._path.trial or self._path.limit
        return min(path, self._carried_max, self._source_max)

    @property
    def _source_left(self) -> int:
        return self._source_max - self._source_sent - self._in_flight_amount

    @property
    def _is_paid(self) -> bool:
        if self._to_deliver is not None:
            return self._delivered >= self._to_deliver
        return self._source_sent == self._source_max

    @property
    def _close_is_due(self) -> bool:
        """Whether there is a receiver who does not know of the end."""
        return self._heard and not self._closed and not self._close_sent

    def _next_amount(self) -> int:
        """Return what the next packet may carry, 0 where there is nothing to send or no room for it."""
        limit = min(self._limit, self._amounts.size)
        if self._room is not None:
            limit = min(limit, self._fits_the_room())
        amount = self._amount_within(limit)
        if self._in_flight:
            window_left = self._amounts.size - self._in_flight_amount
            return amount if amount <= window_left else 0
        return amount

    def _amount_within(self, limit: int) -> int:
        low, min_rate = self._estimate.low, self._min_rate
        left = self._source_left
        keeps_to = self._keeps_to if self._keeps_to <= min(limit, left) else 0
        if self._to_deliver is None:
            if keeps_to:
                return keeps_to
            return amount_to_send(left, limit=limit, rate=low, min_rate=min_rate)
        units, limit = self._units_missing, min(limit, left)
        if units <= 0:
            return 0
        last = self._amount_to_finish(units, limit)
        if last:
            # Exactly what is missing is known once all others have been answered.
            return 0 if self._in_flight else last
        return keeps_to or amount_to_deliver(units, limit=limit, rate=low, min_rate=min_rate)

    def _amount_to_finish(self, units: int, limit: int) -> int:
        # Where hops round, the last packet may cost more than the least rate: what may be sent bounds it.
        min_rate = Fraction(0) if self._shortfalls else self._min_rate
        return amount_to_finish(units, limit=limit, rate=self._estimate.low, min_rate=min_rate)

    @property
    def _units_missing(self) -> int:
        """What is to be delivered beside what is in flight, at most."""
        assert self._to_deliver is not None
        return self._to_deliver - self._delivered - self._in_flight_units

    def _fits_the_room(self) -> int:
        """Return the most that the receiver still takes, in our unit."""
        assert self._room is not None
        room = self._room - self._delivered - self._in_flight_units
        if room <= 0:
            return 0
        high = self._estimate.high
        if self._room_is_strict and high:
            # The least that there is may be taken though it brings more: nothing less can be sent.
            return per_floor(room + 1, high) or (0 if self._room_takes_no_crumb else 1)
        return per_ceil(room, self._estimate.low) if self._estimate.low else AMOUNT_MAX

    @property
    def _room_blocks(self) -> bool:
        """Whether it is the receiver that has to give way."""
        if self._room is None or not self._amount_within(self._limit):
            return False
        return not self._amount_within(min(self._limit, self._fits_the_room()))

    def _money_packet(self, amount: int, now: float, now_ms: int) -> Sent:
        self._path.tried(amount)
        frames: tuple[Frame, ...] = (_MONEY,)
        if self._data.is_ready:
            frames += self._data.take()
        minimum = times_ceil(amount, self._min_rate)
        if self._to_deliver is not None and not self._in_flight:
            missing = self._units_missing
            if amount == self._amount_to_finish(missing, amount):
                minimum = missing
        return self._build(amount, minimum, frames, now, now_ms)

    def _build(
        self, amount: int, minimum: int, frames: tuple[Frame, ...], now: float, now_ms: int
    ) -> Sent:
        seconds = self._packet_seconds
        sent = self._connection.build(
            amount=amount,
            minimum=minimum,
            frames=frames,
            expires_at_ms=now_ms + math.ceil(seconds * 1000),
            now=now,
            units=self._estimate.likely_most(amount),
        )
        self._expect(sent, now + seconds)
        return sent

    def _expect(self, sent: Sent, expires_at: float) -> None:
        self._in_flight[sent.sequence] = sent
        self._in_flight_amount += sent.amount
        self._in_flight_units += sent.units
        self._answers_by = max(self._answers_by, expires_at + GRACE_SECONDS)

    def _closing_packet(self, now: float, now_ms: int) -> Sent | None:
        """Tell the receiver of the end, once no packet can come after."""
        if not self._close_is_due or self._in_flight:
            return None
        self._close_sent = True
        seconds = self._limits.close_seconds
        sent = self._connection.build(
            amount=0,
            minimum=0,
            frames=_CLOSE,
            expires_at_ms=now_ms + math.ceil(seconds * 1000),
            now=now,
            fulfillable=False,
        )
        self._answers_by = now
        self._expect(sent, now + seconds)
        return sent

    def _when_nothing_moves(self, now: float, now_ms: int) -> Sent | None:
        """Nothing is in flight and nothing can be sent: it is paid, somebody has to give way, or it is over."""
        if self._is_paid:
            if self._data.is_done:
                self._finish(OutcomeState.COMPLETED, "All was sent.")
                return self._closing_packet(now, now_ms)
            self._pauses.refused(now)
            self._data.ask_again()
            return self._build(0, 0, self._data.take(), now, now_ms)
        if self._room_blocks:
            self._asks_for_room = True
            self._pauses.refused(now)
            return self._build(0, 0, (self._blocked(),), now, now_ms)
        if self._amounts.size < self._limit and (amount := self._amount_within(self._limit)):
            return self._money_packet(amount, now, now_ms)  # smaller ones would buy nothing
        self._finish(*self._why_nothing_passes())
        return self._closing_packet(now, now_ms)

    def _blocked(self) -> StreamMoneyBlocked:
        """Say how much we would deliver, and have."""
        left = times_ceil(self._source_left, self._min_rate)
        send_max = self._to_deliver or min(UINT_MAX, self._delivered + left)
        return StreamMoneyBlocked(STREAM_ID, send_max, min(UINT_MAX, self._delivered))

    def _why_nothing_passes(self) -> tuple[OutcomeState, str]:
        left = self._source_left
        if self._to_deliver is not None and not left:
            short = self._to_deliver - self._delivered
            return (
                OutcomeState.SOURCE_SPENT,
                f"All of {self._ours(self._source_max)} is sent, and {self._of_all(short)} are missing.",
            )
        if self._amount_within(self._carried_max):
            return (
                OutcomeState.PATH_TOO_NARROW,
                f"A packet of {self._ours(self._limit)}, all that passes, buys no unit at the least rate.",
            )
        if self._to_deliver is not None:
            short = self._to_deliver - self._delivered
            return (
                OutcomeState.SOURCE_SPENT,
                f"The {self._ours(left)} left buy none of the {self._theirs(short)} that are missing.",
            )
        return self._without_the_rest()

    @property
    def _is_rest(self) -> bool:
        """Whether less is left than what has come as it must."""
        if self._to_deliver is None:
            return self._source_left < self._best_amount
        return self._to_deliver - self._delivered < times_ceil(
            self._best_amount, self._min_rate
        )

    def _without_the_rest(self) -> tuple[OutcomeState, str]:
        """Say that what is left is not sent, since rounding takes too much of it."""
        left = self._source_left
        if self._to_deliver is not None:
            short = self._to_deliver - self._delivered
            return OutcomeState.SOURCE_SPENT, (
                f"The last {self._of_all(short)} are missing: rounding takes more of them than the"
                f" {self._ours(left)} that may be sent for them bear."
            )
        is_crumb = times_floor(left, self._min_rate) == 0
        why = (
            "at the least rate they buy not one unit"
            if is_crumb
            else "rounding to whole units takes more of them than the least rate allows"
        )
        if not self._source_sent:
            return OutcomeState.RATE_TOO_LOW, f"Nothing of {self._ours(left)} was sent: {why}."
        is_done = is_crumb or left <= self._source_max * CRUMB_SHARE
        return (
            OutcomeState.COMPLETED if is_done else OutcomeState.RATE_TOO_LOW,
            f"The last {self._ours(left)} were not sent: {why}.",
        )

    # --- What a reply means

    def _hear(self, packet: StreamPacket) -> None:
        """Take in what the receiver says beside whether it takes the packet."""
        for frame in packet.frames:
            match frame:
                case StreamMaxMoney(stream_id=stream_id, receive_max=most) if (
                    stream_id == STREAM_ID
                ):
                    if self._room is None or most > self._room:
                        self._room = most
                        if self._asks_for_room:
                            self._asks_for_room, self._pauses.until = False, 0.0
                case ConnectionAssetDetails(asset_code=code, asset_scale=scale):
                    told = told_asset(code, scale)
                    if self._asset is None:
                        self._asset = told
                    elif told is not None and self._asset != told:
                        self._violated(
                            f"the receiver counted in {self._asset}, and now in {told}"
                        )
                case ConnectionClose(code=code_, message=message):
                    self._closed = _closed("connection", code_, message)
                case StreamClose(stream_id=stream_id, code=code_, message=message) if (
                    stream_id == STREAM_ID
                ):
                    self._closed = _closed("stream", code_, message)
                case _:
                    pass
        if not self._data.is_done:
            self._data.heard(packet)
        self._receipts.heard(packet)
        if wrong := self._received_data.heard(packet):
            self._violated(wrong)

    def _take_fulfill(self, sent: Sent, answer: Answer, now: float) -> None:
        # Where the receiver's word is missing, its proof stands for the minimum that it is bound to.
        got = sent.minimum if answer.authentic is None else answer.authentic.amount
        self._delivered_exact &= answer.authentic is not None or not sent.amount
        self._source_sent += sent.amount
        self._delivered += got
        self._fulfilled += 1
        self._shortfalls = self._refusals = 0
        self._data.fulfilled(sent.frames)
        if got < sent.minimum:
            self._violated(
                f"the receiver took {self._ours(sent.amount)} for {self._theirs(got)}, and the least was"
                f" {self._theirs(sent.minimum)}"
            )
        if not sent.amount and not any(isinstance(frame, StreamData) for frame in sent.frames):
            return  # only asked: nothing has moved
        self._idle_since = now
        self._pauses.fulfilled()
        if sent.amount:
            self._path.passed(sent.amount)
            self._packets.fulfilled(1)
            self._amounts.fulfilled(sent.amount)
            if answer.authentic is not None:
                self._estimate.learn(sent.amount, got)

    def _take_reject(self, sent: Sent, answer: Answer, now: float) -> None:
        self._rejected += 1
        self._last_reject = answer
        self._data.refused(sent.frames)
        code = answer.code
        if answer.authentic is not None:
            self._refused_by_receiver(sent, answer, answer.authentic.amount, now)
        elif code == "F08":
            self._path.refused(sent.amount, answer.data)
            if not self._path.limit:
                self._rejected_for_good(answer)
        elif code == "R01":
            self._fell_short(sent, answer, 0, now)
        elif code == "T04":
            if self._slows_down(sent, now) and sent.amount:
                self._amounts.size = min(
                    self._amounts.size, self._in_flight_amount + sent.amount
                )
                self._amounts.congested()
                self._amounts.increase = max(1, self._amounts.size // 8)
        elif code.startswith(("T", "R")):
            if code == "R02":
                self._packet_seconds = min(self._packet_seconds * 2, PACKET_SECONDS_MAX)
            if self._slows_down(sent, now):
                self._packets.size = min(self._packets.size, len(self._in_flight) + 1)
                self._packets.congested()
        else:
            self._rejected_for_good(answer)

    def _refused_by_receiver(self, sent: Sent, answer: Answer, got: int, now: float) -> None:
        """The packet got there, and its receiver did not take it."""
        if got < sent.minimum:
            self._fell_short(sent, answer, got, now)
            return
        if sent.amount:
            self._estimate.learn(sent.amount, got)
        if (
            self._room is not None
            and self._delivered + self._in_flight_units + got > self._room
        ):
            self._room_is_strict = True
            self._room_takes_no_crumb |= sent.amount == 1
        if not self._slows_down(sent, now):
            return
        if answer.code.startswith(("T", "R")):
            self._packets.congested()
            return
        self._refusals += 1
        if self._refusals > REFUSALS_MAX:
            self._rejected_for_good(answer)

    def _fell_short(self, sent: Sent, answer: Answer, got: int, now: float) -> None:
        """At this amount the path gives less than the least rate: a pause, and what we know is mended."""
        if sent.amount:
            self._estimate.learn(sent.amount, got)
        self._keeps_to = self._best_amount
        if self._slows_down(sent, now):
            self._shortfalls += 1
        if self._is_rest and self._shortfalls > REST_SHORTFALLS_MAX:
            self._finish(*self._without_the_rest())
        if self._shortfalls > SHORTFALLS_MAX:
            wanted = (
                f"{self._ours(sent.amount)} were to be delivered as {self._theirs(sent.minimum)}, and came as"
                f" {self._theirs(got)}"
            )
            self._finish(
                OutcomeState.RATE_TOO_LOW, f"The rate fell below the least: {wanted}.", answer
            )

    def _slows_down(self, sent: Sent, now: float) -> bool:
        """Pause, once for all that was in flight together; return whether this reject began it."""
        if sent.sequence < self._round_starts_at:
            return False
        self._round_starts_at = self._connection.next_sequence
        self._pauses.refused(now)
        return True

    # --- Ends

    def _ours(self, amount: int) -> str:
        """Return an amount of ours for a sentence; a bare number only where nobody said what it counts."""
        return _amount(amount, self._source_asset)

    def _theirs(self, amount: int) -> str:
        """Return an amount of the receiver's for a sentence."""
        return _amount(amount, self._asset)

    def _of_all(self, units: int) -> str:
        """Return a part of a fixed delivery for a sentence."""
        return f"{self._theirs(units)} of {self._theirs(self._to_deliver or 0)}"

    def _look_at_the_clock(self, now: float) -> None:
        total = self._limits.total_seconds
        if total is not None and now >= self._started_at + total:
            self._finish(OutcomeState.DEADLINE, f"It had {total:g} seconds, and they are over.")
        elif now >= self._idle_since + self._limits.idle_seconds:
            seconds = f"for {self._limits.idle_seconds:g} seconds"
            if self._is_paid:
                octets = self._data.acknowledged
                self._finish(
                    OutcomeState.COMPLETED,
                    f"All was sent, but only {octets} octets of the data.",
                )
            elif (room := self._room) is not None and self._room_blocks:
                self._finish(
                    OutcomeState.RECEIVER_FULL,
                    f"The receiver takes no more than {self._theirs(room)} and did not raise that {seconds}.",
                )
            else:
                last = self._last_reject
                said = f" The last answer was {_words(last)}" if last else ""
                self._finish(OutcomeState.IDLE, f"Nothing was fulfilled {seconds}.{said}")

    def _rejected_for_good(self, answer: Answer) -> None:
        self._finish(OutcomeState.REJECTED, f"Rejected with {_words(answer)}", answer)

    def _violated(self, what: str) -> None:
        self._note(what)
        self._finish(OutcomeState.VIOLATION, f"The protocol was broken: {what}.")

    def _note(self, violation: str) -> None:
        if len(self._violations) < VIOLATIONS_KEPT:
            self._violations.append(violation)

    def _finish(self, state: OutcomeState, reason: str, reject: Answer | None = None) -> None:
        if self._end is not None:
            return
        self._end = state, reason
        self._ending_reject = reject if reject is not None and not reject.is_fulfilled else None


def _amount(amount: int, asset: Asset | None) -> str:
    return f"{amount}" if asset is None else format_amount(amount, asset)


def _closed(what: str, code: int, message: str) -> str:
    try:
        why = StreamErrorCode(code).name.replace("_", " ").lower()
    except ValueError:
        why = f"code {code}"
    return f"The receiver closed the {what}, {why}{': ' if message else ''}{message}."


def _said(data: bytes) -> str:
    """Return what a receiver wrote for people when it closed; Rafiki's says so why it declines."""
    text = str(data[:WORDS_OCTETS_MAX], "utf-8", "replace")
    return f" It says: {text}" if text and text.isprintable() else ""


def _words(answer: Answer) -> str:
    """Return code, name, hop and message of a reject, as the end of a sentence."""
    by = f" by {answer.triggered_by}" if answer.triggered_by else ""
    message = f": {answer.message}" if answer.message else ""
    return f"{answer.code} {error_words(answer.code)}{by}{message}".rstrip(".") + "."
