"""Finds a path's rate and its largest packet before money moves: small packets first, none that can be fulfilled."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random
from typing import Final, final

from core.account import Asset, format_amount
from core.errors import QuoteFailed
from core.packet import AMOUNT_MAX, Reply
from core.stream.frames import (
    ConnectionAssetDetails,
    ConnectionMaxData,
    ConnectionMaxStreamId,
    ConnectionNewAddress,
    Frame,
)
from core.stream.sender.connection import Answer, Connection, Sent
from core.stream.sender.data import BUFFER_OCTETS
from core.stream.sender.exchange import SenderLimits
from core.stream.sender.path_maximum import PathMaximum
from core.stream.sender.pauses import Pauses
from core.stream.sender.rate import (
    FEW_UNITS,
    RATE_DIGITS,
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
from core.stream.sender.terms import PaymentTerms, Quote
from core.stream.told_asset import told_asset

FIRST_AMOUNT: Final = 1_000
STEP: Final = 1_000
"""Each probe is so many times the one before it, until the rate is known to three digits."""

STEP_DOWN: Final = 10
"""Where nothing has passed for lack of liquidity, the next probe is so many times smaller."""

SAME_MAX: Final = 2
"""So often the same relative reject is taken from the same hop: no waiting makes our packets fit."""

HURRIED_SECONDS: Final = 4.0
"""A probe that leaves so shortly before the time for probes is over may be R02 for that alone."""

SEND_ONLY: Final = "private.SEND_ONLY_CLIENT"
"""Our address for receivers that read no empty one: nothing can be sent to it."""


@final
class Probe:
    """One packet at a time, each of an amount that follows from the reply before."""

    def __init__(
        self, terms: PaymentTerms, limits: SenderLimits, random: Random, *, now: float
    ) -> None:
        self._terms = terms
        self._limits = limits
        self._connection = Connection(
            terms.destination, terms.shared_secret, first_sequence=terms.first_sequence
        )
        self._estimate = RateEstimate()
        self._path = PathMaximum()
        self._pauses = Pauses(random)
        self._ends_at = now + limits.probe_seconds
        self._asset = terms.destination_asset
        self._asset_probes: list[tuple[tuple[Frame, ...], str]] = (
            [] if self._asset is not None else _asset_probes(terms.destination)
        )
        self._amount: int | None = min(
            FIRST_AMOUNT, terms.source_amount or terms.source_amount_max or FIRST_AMOUNT
        )
        """What is probed next; None once enough is known."""
        self._passed = 0
        """The largest amount that has come through to the receiver."""
        self._best_amount = 0
        """The probe that brought most for what it carried."""
        self._sharpens = False
        """Whether probes are sent for a sharper rate alone."""
        self._same = 0
        """How often in a row the last answer was given."""
        self._in_flight: Sent | None = None
        self._last: Answer | None = None
        self._failure: QuoteFailed | None = None

    @property
    def is_finished(self) -> bool:
        if self._in_flight is not None:
            return False
        if self._failure is not None:
            return True
        return self._amount is None and (self._asset is not None or not self._asset_probes)

    def next_packet(self, now: float, now_ms: int) -> Sent | None:
        if self._in_flight is not None or self.is_finished:
            return None
        if now >= self._ends_at:
            self._give_up()
            return None
        if now < self._pauses.until:
            return None
        amount = self._amount or 0
        frames: tuple[Frame, ...] = ()
        destination = ""
        if self._amount is None:
            frames, destination = self._asset_probes.pop(0)
        seconds = min(self._ends_at - now, self._limits.packet_seconds)
        self._in_flight = self._connection.build(
            amount=amount,
            minimum=0,
            frames=frames,
            expires_at_ms=now_ms + math.ceil(seconds * 1000),
            now=now,
            fulfillable=False,
            destination=destination,
        )
        return self._in_flight

    def wake_at(self) -> float:
        return min(self._ends_at, self._pauses.until) if self._in_flight is None else math.inf

    def replied(self, sent: Sent, reply: Reply, now: float) -> None:
        self._in_flight = None
        answer = self._connection.read(sent, reply)
        if answer.authentic is not None:
            self._hear_asset(answer)
        if sent.amount == 0:
            return  # about the asset: it is good to know, and no payment needs it
        is_hurried = self._ends_at - sent.sent_at < HURRIED_SECONDS
        if is_hurried and answer.code == "R02" and self._last is not None:
            self._pauses.refused(now)
            return  # it is what the others were told that says how the path is
        self._same = self._same + 1 if _is_same(answer, self._last) else 1
        self._last = answer
        if answer.authentic is not None:
            self._came_through(sent.amount, answer.authentic.amount)
        elif answer.code == "F08":
            self._path.refused(sent.amount, answer.data)
            self._too_large()
        elif answer.code == "T04" and self._passed:
            self._amount = None  # not now and not at once; the payment finds out how much
        elif answer.code == "T04":
            self._pauses.refused(now)
            self._amount = max(1, sent.amount // STEP_DOWN)
        elif answer.code == "R01":
            self._came_through(sent.amount, 0)
        elif _is_about_us(answer.code) and self._same >= SAME_MAX:
            self._fail(f"probes were rejected {self._same} times in the same way")
        elif answer.code.startswith(("T", "R")):
            self._pauses.refused(now)
        else:
            self._fail(
                answer.violation
                or f"the probe of {self._sent(sent.amount)} was rejected for good"
            )

    def quote(self, now_ms: int) -> Quote:
        """Return what was found.

        Raises:
            QuoteFailed: no payment on these terms can be made over this path now.
        """
        if self._failure is not None:
            raise self._failure
        terms, estimate = self._terms, self._estimate
        high = estimate.high
        assert high is not None
        if not estimate.low:
            raise self._failed(
                f"a probe of {self._sent(self._passed)}, the most that passes, buys nothing"
            )
        min_rate = terms.min_rate
        if min_rate is None:
            min_rate = estimate.low * (1 - terms.slippage)
        elif high <= min_rate:
            raise self._failed(
                f"a probe of {self._sent(self._passed)} buys"
                f" {self._received(times_floor(self._passed, estimate.low))}, and at the least rate"
                f" it must buy {self._received(times_ceil(self._passed, min_rate))}"
            )
        limit = min(self._path.limit, largest_carried(min_rate))
        if terms.source_amount is not None:
            source = source_estimate = terms.source_amount
            first = amount_to_send(source, limit=limit, rate=estimate.low, min_rate=min_rate)
            delivered_min = times_ceil(source, min_rate)
            delivered = times_floor(source, estimate.low)
        else:
            assert terms.delivered_amount is not None
            delivered_min = delivered = terms.delivered_amount
            source_estimate = per_ceil(delivered, max(estimate.low, min_rate))
            source = self._source_max(min_rate, at_best=per_floor(delivered, high) + 1)
            within = min(limit, source)
            first = amount_to_finish(
                delivered, limit=within, rate=estimate.low, min_rate=min_rate
            ) or amount_to_deliver(
                delivered, limit=within, rate=estimate.low, min_rate=min_rate
            )
        if first == 0:
            raise self._failed(
                f"a packet of {self._sent(min(limit, source))}, the most that passes, "
                "buys not one whole unit at the least rate"
            )
        bought = times_floor(first, estimate.low)
        return Quote(
            min_rate=min_rate,
            rate_low=estimate.low,
            rate_high=high,
            source_amount=source,
            delivered_min=delivered_min,
            delivered_estimate=max(delivered, delivered_min),
            source_estimate=min(source_estimate, source),
            path_maximum=self._path.limit if self._path.is_met else None,
            passed=self._passed,
            best_amount=self._best_amount,
            packet_amount=first,
            packet_units=bought,
            # Less than a unit a packet, and no more than what it may be worth at best.
            lost_by_rounding=min(
                Fraction(1, bought + 1), max(Fraction(0), 1 - bought / (first * high))
            ),
            destination_asset=self._asset,
            quoted_at_ms=now_ms,
            next_sequence=self._connection.next_sequence,
        )

    def _came_through(self, amount: int, received: int) -> None:
        """Go up until the rate is known, then ask once for all that a packet would carry."""
        if received > AMOUNT_MAX:
            self._fail(
                f"the receiver says that of {amount} it got {received}, more than there is"
            )
            return
        if self._sharpens and not self._estimate.allows(amount, received):
            self._amount = None  # a rate that contradicts itself cannot be known sharper
            return
        self._estimate.learn(amount, received)
        if self._estimate.low == Fraction(received, amount):
            self._best_amount = amount
        self._passed = max(self._passed, amount)
        self._path.passed(amount)
        most = min(self._most_worth_trying(), self._path.limit)
        if self._passed >= most:
            self._amount = self._sharper()
        elif received >= RATE_DIGITS or self._path.is_met:
            self._amount = most
        else:
            self._amount = min(most, self._passed * STEP)

    def _too_large(self) -> None:
        if self._path.limit == 0:
            self._fail("no packet is small enough for the path")
        elif self._path.limit <= self._passed:
            self._amount = self._sharper()
        else:
            self._amount = self._path.limit

    def _sharper(self) -> int | None:
        """Return an amount that tells how much of a packet rounding takes, or None where that is known or little.

        Where the largest packet buys few units, a smaller one buys as many, and what it is smaller by
        was lost in each: the rate is known on it, and packets are cut at it. Eight halvings find it.
        """
        low, high = self._estimate.low, self._estimate.high
        assert high is not None
        units = times_floor(self._passed, low)
        if not self._path.is_met or not 0 < units < FEW_UNITS:
            return None
        enough, too_little = per_ceil(units, low), per_floor(units, high)
        if enough - too_little - 1 <= enough // FEW_UNITS:
            return None
        self._sharpens = True
        return (enough + too_little) // 2

    def _most_worth_trying(self) -> int:
        """Return what the whole payment would send, in one packet."""
        if self._terms.source_amount is not None:
            return self._terms.source_amount
        assert self._terms.delivered_amount is not None
        most = self._terms.source_amount_max or AMOUNT_MAX
        if not self._estimate.low:
            return most
        return min(most, per_ceil(self._terms.delivered_amount, self._estimate.low))

    def _source_max(self, min_rate: Fraction, *, at_best: int) -> int:
        terms = self._terms
        assert terms.delivered_amount is not None
        if terms.source_amount_max is not None:
            if at_best > terms.source_amount_max:
                # The last answer is how a probe that passes is answered: nobody said no.
                raise QuoteFailed(
                    f"{self._received(terms.delivered_amount)} to be delivered cost at least "
                    f"{self._sent(at_best)}, and {self._sent(terms.source_amount_max)} may be sent.",
                    counted_in=self._counted_in,
                )
            return terms.source_amount_max
        if not min_rate:
            raise self._failed("without a least rate, the most that may be sent has to be said")
        return min(AMOUNT_MAX, per_ceil(terms.delivered_amount, min_rate))

    def _hear_asset(self, answer: Answer) -> None:
        assert answer.authentic is not None
        for frame in answer.authentic.of(ConnectionAssetDetails):
            told = told_asset(frame.asset_code, frame.asset_scale)
            if told is None:
                continue
            if self._asset is not None and told != self._asset:
                self._fail(f"the receiver counts in {told}, and {self._asset} was said before")
                return
            self._asset = told

    def _give_up(self) -> None:
        """Use what is known, or say that nothing is."""
        self._asset_probes = []
        if self._estimate.low:
            self._amount = None
        elif self._passed:
            self._fail(
                f"a probe of {self._sent(self._passed)}, the most that passed, buys nothing"
            )
        else:
            self._fail(
                f"no probe reached the receiver in {self._limits.probe_seconds:g} seconds"
            )

    def _fail(self, reason: str) -> None:
        self._failure = self._failed(reason)

    def _failed(self, reason: str) -> QuoteFailed:
        last = self._last
        if last is None:
            return QuoteFailed(f"{reason}.", counted_in=self._counted_in)
        said = f": {last.message}" if last.message else ""
        by = f" by {last.triggered_by}" if last.triggered_by else ""
        return QuoteFailed(
            f"{reason}; the last answer was {last.code}{by}{said}",
            reject_code=last.code,
            triggered_by=last.triggered_by,
            counted_in=self._counted_in,
        )

    @property
    def _counted_in(self) -> tuple[str, int] | None:
        return None if self._asset is None else (self._asset.code, self._asset.scale)

    def _sent(self, amount: int) -> str:
        return _words(amount, self._terms.source_asset)

    def _received(self, amount: int) -> str:
        return _words(amount, self._asset)


def _words(amount: int, asset: Asset | None) -> str:
    return f"{amount} units" if asset is None else format_amount(amount, asset)


def _is_same(answer: Answer, last: Answer | None) -> bool:
    """Tell whether a reject is the one that came before, from the same hop."""
    return last is not None and (answer.code, answer.triggered_by, answer.message) == (
        last.code,
        last.triggered_by,
        last.message,
    )


def _is_about_us(code: str) -> bool:
    """Tell a reject that asks for another packet from one that waiting helps: a time-out may pass."""
    return code.startswith("R") and code != "R00"


def _asset_probes(destination: str) -> list[tuple[tuple[Frame, ...], str]]:
    """Return the two ways of asking what the receiver counts in, and where each is sent.

    An empty address says best that we cannot be sent to. Interledger.rs reads none: it is asked in
    a second way, by a destination that others do not take for theirs, whose last segment it takes.
    """
    first: tuple[Frame, ...] = (ConnectionMaxStreamId(1), ConnectionMaxData(BUFFER_OCTETS))
    base, _, token = destination.rpartition(".")
    return [
        ((*first, ConnectionNewAddress("")), destination),
        ((*first, ConnectionNewAddress(SEND_ONLY)), f"{base}._.{token}"),
    ]
