"""Outgoing: from what the sender's account counts to what the next hop's account counts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal
from fractions import Fraction
from typing import Final, Generic, Protocol, TypeVar, final

from core.account import AMOUNT_MAX_BOOKED, Asset, format_amount
from core.clock import Clock
from core.node_address import NodeAddress
from core.packet import ErrorCode, Reject, Reply, max_packet_amount_data
from core.rates.formats import duration
from core.rates.rate import Quote, convert, largest_convertible
from core.service import (
    Conversion,
    Explanation,
    OutgoingRequest,
    OutgoingService,
    Step,
    Verdict,
)

_READ: Final = Context(prec=9, rounding=ROUND_DOWN)
"""Of a rate in a sentence; the books keep all of it."""


class AssetAccount(Protocol):
    """An account whose amounts count something; its spread is our share of what goes to it."""

    @property
    def username(self) -> str: ...
    @property
    def asset(self) -> Asset: ...
    @property
    def spread(self) -> Fraction | None: ...


A = TypeVar("A", bound=AssetAccount)


class Rates(Protocol):
    """The rates in force, in memory."""

    def quote(self, source: Asset, target: Asset) -> Quote | None:
        """Return how one asset becomes the other, or None where a price is missing."""


@final
@dataclass(frozen=True, slots=True)
class ExchangeRateService(Generic[A]):
    """Write the next hop's amount into the packet, exactly, and keep how it came about for the books.

    Where both accounts count alike and no spread is taken, nothing is computed. The fraction and
    the spread stay with us; what would round to nothing is R01, what does not fit the books F08. A
    price that is missing or too old is T00: nothing is forwarded at a rate that may not hold.
    """

    next: OutgoingService[A]
    rates: Rates
    address: NodeAddress
    clock: Clock

    async def send(self, request: OutgoingRequest[A]) -> Reply:
        converted = self._convert(request)
        if isinstance(converted, Reject):
            return converted
        outgoing_amount, request.conversion = converted
        if request.conversion is not None:
            request.prepare.amount = outgoing_amount
        if request.trace is not None:
            request.trace.outgoing_amount = outgoing_amount
        return await self.next.send(request)

    async def explain(self, request: OutgoingRequest[A]) -> Explanation:
        converted = self._convert(request)
        if isinstance(converted, Reject):
            return (Step("exchange rate", Verdict.REJECTS, converted.message, converted),)
        outgoing_amount, request.conversion = converted
        request.prepare.amount = outgoing_amount
        step = Step(
            "exchange rate",
            Verdict.PASSES,
            self._words(request, outgoing_amount),
            facts={
                "incoming_amount": request.incoming_amount,
                "outgoing_amount": outgoing_amount,
            },
        )
        return (step, *await self.next.explain(request))

    def _convert(self, request: OutgoingRequest[A]) -> tuple[int, Conversion | None] | Reject:
        amount = request.incoming_amount
        source, target = request.from_account.asset, request.to_account.asset
        quote = self.rates.quote(source, target)
        if quote is None:
            return self.address.reject(
                ErrorCode.INTERNAL_ERROR,
                f"This node has no exchange rate from {source.code} to {target.code}.",
            )
        of_account = request.to_account.spread
        spread = quote.spread if of_account is None else of_account
        if not spread and source == target:
            if amount > AMOUNT_MAX_BOOKED:
                return self._too_large(request, AMOUNT_MAX_BOOKED)
            return amount, None
        if quote.stale_at_ms is not None and self.clock.now_ms() >= quote.stale_at_ms:
            return self.address.reject(ErrorCode.INTERNAL_ERROR, self._stale(quote))
        if amount == 0:
            return 0, None
        rate = quote.rate
        outgoing_amount, conversion = convert(amount, rate, spread, quote.rate_id)
        if outgoing_amount == 0:
            return self.address.reject(
                ErrorCode.INSUFFICIENT_SOURCE_AMOUNT,
                f"{format_amount(amount, source)} is less than the smallest unit of "
                f"{request.to_account.username}, {format_amount(1, target)}: send more in one packet.",
            )
        if max(amount, outgoing_amount, conversion.spread_amount) > AMOUNT_MAX_BOOKED:
            return self._too_large(request, _largest(rate, spread))
        return outgoing_amount, conversion

    def _stale(self, quote: Quote) -> str:
        age = duration(self.clock.now_ms() - quote.at_ms)
        return (
            f"This node's rate of {quote.oldest} is {age} old, and at most "
            f"{duration(quote.max_age_ms)} are allowed: its source has to answer again, or this "
            "node's operator to set a price."
        )

    def _too_large(self, request: OutgoingRequest[A], maximum: int) -> Reject:
        source = request.from_account.asset
        maximum = min(maximum, AMOUNT_MAX_BOOKED)
        return self.address.reject(
            ErrorCode.AMOUNT_TOO_LARGE,
            f"{format_amount(request.incoming_amount, source)} is more than this node can carry to "
            f"{request.to_account.username} in one packet, {format_amount(maximum, source)}.",
            max_packet_amount_data(received=request.incoming_amount, maximum=maximum),
        )

    def _words(self, request: OutgoingRequest[A], outgoing_amount: int) -> str:
        source, target = request.from_account.asset, request.to_account.asset
        incoming = format_amount(request.incoming_amount, source)
        conversion = request.conversion
        if conversion is None:
            return f"{incoming} stays {format_amount(outgoing_amount, target)}: nothing is converted."
        sentence = (
            f"{incoming} becomes {format_amount(outgoing_amount, target)}, "
            f"{_rate_words(conversion.rate, source, target)}"
        )
        if conversion.spread:
            sentence += (
                f"; {format_amount(conversion.spread_amount, target)} of it "
                f"stays here, a spread of {_decimal(conversion.spread * 100)} %"
            )
        return sentence + "."


def _rate_words(rate: Fraction, source: Asset, target: Asset) -> str:
    """Return a rate of smallest units as a person says it: `at 0.0004 ETH for 1 USD`."""
    whole = rate * Fraction(10) ** (source.scale - target.scale)
    if whole == 1 and source.code == target.code:
        return "one for one"
    return f"at {_decimal(whole)} {target.code} for 1 {source.code}"


def _decimal(number: Fraction) -> str:
    """Return a number with the digits that a person reads, cut off and marked where it goes on."""
    digits = _READ.divide(Decimal(number.numerator), Decimal(number.denominator)).normalize()
    return f"{digits:f}" if Fraction(digits) == number else f"{digits:f}…"


def _largest(rate: Fraction, spread: Fraction) -> int:
    """Return the largest amount of which what goes on, and what stays as spread, fit the books."""
    goes_on = largest_convertible(rate, spread, maximum=AMOUNT_MAX_BOOKED)
    if not spread:
        return goes_on
    return min(goes_on, largest_convertible(rate, 1 - spread, maximum=AMOUNT_MAX_BOOKED))
