"""From one asset to another, exactly; what does not fit is refused, never clamped."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from core.account import AMOUNT_MAX_BOOKED, Account, Asset
from core.node_address import NodeAddress
from core.packet import Reject, address, read_max_packet_amount_data
from core.rates.rate import RateTable, convert
from core.service import OutgoingRequest
from core.services.exchange_rate import ExchangeRateService
from core.testing.builders import EUR, USD, XRP, account, outgoing, prepare
from core.testing.clock import FakeClock
from core.testing.services import FakeOutgoing

ADDRESS = NodeAddress(address("test.node"))


def rates(spread: str = "0", **prices: str) -> RateTable:
    table = RateTable()
    table.replace({code: Decimal(price) for code, price in prices.items()}, Fraction(spread))
    return table


async def converted(
    amount: int, source: Asset, target: Asset, table: RateTable
) -> tuple[int, OutgoingRequest[Account]] | Reject:
    behind = FakeOutgoing()
    request = outgoing(
        prepare(amount), sender=account(asset=source), receiver=account("bob", asset=target)
    )
    reply = await ExchangeRateService(behind, table, ADDRESS, FakeClock()).send(request)
    if isinstance(reply, Reject):
        assert behind.requests == []
        assert request.prepare.amount == amount
        assert reply.triggered_by == "test.node"
        return reply
    return request.prepare.amount, request


@pytest.mark.parametrize("amount", [0, 1, 2**53 - 1, 2**53 + 1, 2**63 - 1])
async def test_the_same_asset_without_spread_passes_untouched(amount: int) -> None:
    result = await converted(amount, USD, USD, rates())

    assert isinstance(result, tuple)
    assert (result[0], result[1].conversion) == (amount, None)


@pytest.mark.parametrize("amount", [2**63, 2**64 - 1])
async def test_what_the_books_cannot_carry_is_f08_with_what_would_fit(amount: int) -> None:
    result = await converted(amount, USD, USD, rates())

    assert isinstance(result, Reject)
    assert result.code == b"F08"
    assert read_max_packet_amount_data(result.data) == (amount, AMOUNT_MAX_BOOKED)


@pytest.mark.parametrize(
    ("amount", "source", "target", "table", "outgoing_amount"),
    [
        (100, USD, XRP, rates(USD="1", XRP="0.5"), 2_000_000_000),
        (2_000_000_000, XRP, USD, rates(USD="1", XRP="0.5"), 100),
        (1, USD, Asset("USD", 0), rates("0"), None),
        (199, USD, Asset("USD", 0), rates("0"), 1),
        (1000, USD, EUR, rates(USD="1", EUR="3"), 333),
        (1000, USD, USD, rates("0.01"), 990),
        (1001, USD, USD, rates("0.01"), 990),
        (2**53 + 1, USD, Asset("USD", 3), rates("0"), (2**53 + 1) * 10),
    ],
)
async def test_amounts_are_converted_exactly_and_rounded_down(
    amount: int, source: Asset, target: Asset, table: RateTable, outgoing_amount: int | None
) -> None:
    result = await converted(amount, source, target, table)

    if outgoing_amount is None:
        assert isinstance(result, Reject)
        assert result.code == b"R01"
    else:
        assert isinstance(result, tuple)
        assert result[0] == outgoing_amount


async def test_what_is_converted_is_kept_whole_for_the_books() -> None:
    result = await converted(1001, USD, EUR, rates("0.01", USD="1", EUR="3"))

    assert isinstance(result, tuple)
    outgoing_amount, request = result
    conversion = request.conversion
    assert conversion is not None
    gross = 1001 * conversion.rate
    assert gross == outgoing_amount + conversion.spread_amount + conversion.remainder
    assert request.incoming_amount == 1001
    assert request.trace is not None
    assert request.trace.outgoing_amount == outgoing_amount


async def test_without_a_rate_it_is_t00_and_names_both_assets() -> None:
    result = await converted(100, USD, EUR, rates(USD="1"))

    assert isinstance(result, Reject)
    assert result.code == b"T00"
    assert result.message == "This node has no exchange rate from USD to EUR."


async def test_a_packet_that_carries_nothing_still_carries_nothing() -> None:
    result = await converted(0, USD, EUR, rates("0.5", USD="1", EUR="3"))

    assert isinstance(result, tuple)
    assert (result[0], result[1].conversion) == (0, None)


async def test_dust_is_r01_with_both_units() -> None:
    result = await converted(1, XRP, USD, rates(USD="1", XRP="0.5"))

    assert isinstance(result, Reject)
    assert result.code == b"R01"
    assert "0.000000001 XRP" in result.message
    assert "0.01 USD" in result.message


@pytest.mark.parametrize("spread", ["0", "0.01", "1/3", "0.99"])
@pytest.mark.parametrize("price", ["1", "0.3", "7"])
async def test_the_maximum_that_f08_names_fits_and_one_more_does_not(
    spread: str, price: str
) -> None:
    table = rates(spread, USD="1", XRP=price)

    result = await converted(2**62, USD, XRP, table)

    assert isinstance(result, Reject)
    assert result.code == b"F08"
    numbers = read_max_packet_amount_data(result.data)
    assert numbers is not None
    _, maximum = numbers
    assert isinstance(await converted(maximum, USD, XRP, table), tuple)
    assert isinstance(await converted(maximum + 1, USD, XRP, table), Reject)


async def test_a_spread_that_takes_nearly_all_still_moves_no_more_than_there_is() -> None:
    outgoing_amount, conversion = convert(1, Fraction(1), Fraction(99, 100))

    assert (outgoing_amount, conversion.spread_amount) == (0, 0)
    assert conversion.remainder == 1


async def test_explaining_says_amounts_rate_and_spread() -> None:
    table = rates("0.01", USD="1", XRP="0.5")
    request = outgoing(prepare(100), receiver=account("bob", asset=XRP))

    step, _ = await ExchangeRateService(FakeOutgoing(), table, ADDRESS, FakeClock()).explain(
        request
    )

    assert step.facts == {"incoming_amount": 100, "outgoing_amount": 1_980_000_000}
    assert step.sentence == (
        "1.00 USD becomes 1.98 XRP, at 2 XRP for 1 USD; 0.02 XRP of it stays here, a spread of 1 %."
    )


@pytest.mark.parametrize(
    ("price", "words"),
    [("3", ", at 0.333333333… XRP for 1 USD."), ("1", ", at 1 XRP for 1 USD.")],
)
async def test_a_rate_is_told_in_whole_units_as_a_person_says_it(
    price: str, words: str
) -> None:
    request = outgoing(prepare(100), receiver=account("bob", asset=XRP))
    service = ExchangeRateService(
        FakeOutgoing(), rates("0", USD="1", XRP=price), ADDRESS, FakeClock()
    )

    step, _ = await service.explain(request)

    assert step.sentence.endswith(words)


async def test_the_same_asset_with_a_spread_is_one_for_one() -> None:
    request = outgoing(prepare(1_000), receiver=account("bob", asset=USD))
    service = ExchangeRateService(FakeOutgoing(), rates("0.005", USD="1"), ADDRESS, FakeClock())

    step, _ = await service.explain(request)

    assert step.sentence == (
        "10.00 USD becomes 9.95 USD, one for one; 0.05 USD of it stays here, a spread of 0.5 %."
    )
