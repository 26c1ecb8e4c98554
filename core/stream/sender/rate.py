"""Exact arithmetic of rates: what a packet must deliver at least, and which amounts can do so.

A rate is delivered units for one unit sent. What is delivered is floored and what must be delivered
is raised to whole units, so a small packet can fail at a rate that a large one passes at: amounts
are chosen so that what they lose by rounding stays within what the least rate allows.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, final

from core.packet import AMOUNT_MAX

RATE_DIGITS: Final = 1000
"""A rate is known well enough when it was measured on so many delivered units."""

FEW_UNITS: Final = 200
"""Below so many units in a packet, what rounding takes of it is worth a thought: up to half a percent."""

SAFEST_OF: Final = 64
"""How many numbers of units are compared for the one that rounding takes least from."""

MORE_UNITS_MAX: Final = 256
"""How many units more than needed are tried, one by one, for a packet that passes; with a slippage
of half a percent one of the first 200 does."""


def times_floor(amount: int, rate: Fraction) -> int:
    """Return what `amount` is delivered as at a rate: whole units, what is over is lost."""
    return amount * rate.numerator // rate.denominator


def times_ceil(amount: int, rate: Fraction) -> int:
    """Return the least that `amount` must be delivered as at a least rate."""
    return -(-amount * rate.numerator // rate.denominator)


def per_floor(units: int, rate: Fraction) -> int:
    """Return the most that may be sent for `units` at a least rate above zero."""
    return units * rate.denominator // rate.numerator


def per_ceil(units: int, rate: Fraction) -> int:
    """Return what must be sent for `units` to be delivered at a rate above zero."""
    return -(-units * rate.denominator // rate.numerator)


@final
class RateEstimate:
    """Between which bounds the path's rate lies, learnt from what was sent and what came of it."""

    __slots__ = ("high", "low")

    def __init__(self, low: Fraction = Fraction(0), high: Fraction | None = None) -> None:
        self.low = low
        self.high = high
        """The rate is below this; None while nothing is known."""

    def learn(self, sent: int, received: int) -> None:
        """Take in that `sent` came out as `received`; what contradicts the bounds replaces them."""
        if self.high is not None and (
            times_floor(sent, self.low) == received
            and times_ceil(sent, self.high) <= received + 1
        ):
            return  # as expected, and no sharper: the common case, without a fraction made
        low, high = Fraction(received, sent), Fraction(received + 1, sent)
        if self.high is not None and low < self.high and self.low < high:
            low, high = max(low, self.low), min(high, self.high)
        self.low, self.high = low, high

    def allows(self, sent: int, received: int) -> bool:
        """Tell whether that `sent` came out as `received` fits what is known."""
        return (
            self.high is None
            or times_floor(sent, self.low) <= received <= times_ceil(sent, self.high) - 1
        )

    def likely_most(self, amount: int) -> int:
        """Return the most that `amount` is likely delivered as."""
        if self.high is None:
            return AMOUNT_MAX
        return max(times_ceil(amount, self.high) - 1, times_floor(amount, self.low))


def passes(amount: int, rate: Fraction, min_rate: Fraction) -> bool:
    """Tell whether `amount`, floored at `rate`, is what it must be at least."""
    return times_floor(amount, rate) >= times_ceil(amount, min_rate)


def largest_carried(min_rate: Fraction) -> int:
    """Return the largest amount whose minimum fits a packet."""
    return min(AMOUNT_MAX, per_floor(AMOUNT_MAX, min_rate)) if min_rate else AMOUNT_MAX


def amount_to_send(remaining: int, *, limit: int, rate: Fraction, min_rate: Fraction) -> int:
    """Return the next packet's amount on the way to sending `remaining`, or 0 where none can pass.

    The rest is divided evenly, so that the last packet is no crumb that rounding makes worthless.
    Where packets buy few units they are cut at whole ones, so that rounding takes as little as it can.
    """
    limit = min(limit, remaining)
    if limit <= 0:
        return 0
    packets = -(-remaining // limit)
    amount = -(-remaining // packets)
    if not min_rate:
        return amount
    rate = max(rate, min_rate)
    even = passes(amount, rate, min_rate) and passes(remaining // packets, rate, min_rate)
    if even and (packets == 1 or times_floor(amount, rate) >= FEW_UNITS):
        return amount
    # So few units that it matters where they are cut: as many packets as there are whole units for.
    most = times_floor(limit, rate)
    if most == 0:
        return 0
    units = times_floor(remaining, rate)
    packets = -(-units // most)
    units_each = -(-units // packets)
    least, highest = per_ceil(units_each, rate), min(limit, per_floor(units_each, min_rate))
    if least <= highest:
        return min(max(-(-remaining // packets), least), highest)
    return amount if even else _surest(limit, rate, min_rate)


def amount_to_finish(units: int, *, limit: int, rate: Fraction, min_rate: Fraction) -> int:
    """Return what has to be sent for all `units` that are missing, or 0 where one packet cannot bring them.

    That is at most what they cost at the least rate, rounded up to a whole unit: this packet may lose
    that one unit by rounding, where all others may not.
    """
    rate = max(rate, min_rate)
    amount = per_ceil(units, rate) if rate else 0
    return amount if amount <= limit else 0


def amount_to_deliver(units: int, *, limit: int, rate: Fraction, min_rate: Fraction) -> int:
    """Return the next packet's amount on the way to delivering `units`, or 0 where none can pass.

    What is missing is divided evenly, so that the packet that finishes is no crumb.
    """
    rate = max(rate, min_rate)
    if limit <= 0 or not rate:
        return max(limit, 0)
    most = times_floor(limit, rate)
    if most == 0:
        return 0
    packets = -(-units // most)
    units_each = -(-units // packets)
    # So few units can be less than what rounding takes: then the next more that pass.
    for more in range(units_each, min(units_each + MORE_UNITS_MAX, most) + 1):
        amount = per_ceil(more, rate)
        if passes(amount, rate, min_rate):
            return amount
    return _surest(min(limit, per_ceil(units, rate)), rate, min_rate)


def _surest(limit: int, rate: Fraction, min_rate: Fraction) -> int:
    """Return an amount that passes where rounding leaves hardly any room, or may pass; 0 where none does.

    A multiple of the rate's denominator loses nothing; else fewer units can do, down to one.
    """
    if whole := limit // rate.denominator * rate.denominator:
        return whole
    most = times_floor(limit, rate)
    for units in range(most, max(0, most - MORE_UNITS_MAX), -1):
        amount = per_ceil(units, rate)
        if passes(amount, rate, min_rate):
            return amount
    return _safest(limit, min_rate)


def _safest(limit: int, min_rate: Fraction) -> int:
    """Return the amount that passes at the lowest rate, of those that buy the most units; 0 where none does.

    For so many units, that is the most that may be sent for them: the rest of the division is what
    the path has to give more than the least rate.
    """
    if not min_rate:
        return limit
    most = times_ceil(limit, min_rate)
    best, best_units = 0, 0
    for units in range(most, max(0, most - SAFEST_OF), -1):
        amount = min(limit, per_floor(units, min_rate))
        if amount and (not best or units * best < best_units * amount):
            best, best_units = amount, units
    return best
