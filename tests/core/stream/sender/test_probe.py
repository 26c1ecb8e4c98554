"""What is found out before money moves, with how little, and what is said where nothing can be."""

from __future__ import annotations

from fractions import Fraction

import pytest

from core.account import Asset
from core.errors import QuoteFailed, SettingError
from core.packet import AMOUNT_MAX, ErrorCode, Prepare, Reject, Reply
from core.stream.frames import ConnectionAssetDetails, ConnectionNewAddress
from core.testing.clock import START_MS
from tests.core.stream.sender.simulation import ADDRESS, HOP, Path, Receiver, World, terms


def says(code: ErrorCode) -> Reject:
    return Reject.build(code, triggered_by=HOP, message="not here")


def amounts(world: World) -> list[int]:
    return [sent.amount for sent in world.sent]


def test_it_begins_with_little_and_asks_for_all_only_once_the_rate_is_known() -> None:
    world = World(Path(maximum=5_000_000))
    quote = world.quote(terms(source_amount=10**9))

    assert amounts(world) == [1_000, 10**9, 5_000_000]
    assert quote.path_maximum == 5_000_000
    assert quote.rate_low == 1
    assert quote.next_sequence == 4


def test_no_probe_can_be_fulfilled_nor_is_more_than_the_payment() -> None:
    world = World(Path())
    world.quote(terms(source_amount=70))

    assert amounts(world) == [70]
    assert all(sent.fulfillment == b"" for sent in world.sent)
    assert world.path.handed_over == 0


def test_it_goes_up_where_little_buys_too_little_to_tell_the_rate() -> None:
    world = World(Path(rate=lambda now: Fraction(1, 10**6)))
    quote = world.quote(terms(delivered_amount=5))

    assert amounts(world) == [1_000, 10**6, 5 * 10**6]
    assert quote.rate_low == Fraction(1, 10**6)


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.FINAL_APPLICATION_ERROR,
        ErrorCode.WRONG_CONDITION,
        ErrorCode.UNEXPECTED_PAYMENT,
    ],
)
def test_what_the_receiver_says_counts_under_whatever_code_it_says_it(code: ErrorCode) -> None:
    world = World(Path(receiver=Receiver(probe_code=code)))

    assert world.quote(terms(source_amount=5_000)).rate_low == 1


def test_a_receiver_that_says_its_asset_is_not_asked_for_it() -> None:
    world = World(Path())

    assert world.quote(terms(source_amount=5_000)).destination_asset == Asset("USD", 2)
    assert not [packet for packet in world.path.receiver.packets if packet.frames]


def test_a_receiver_that_does_not_is_asked_in_two_ways_and_paid_all_the_same() -> None:
    path = Path(receiver=Receiver(asset=None))
    world = World(path)
    quote = world.quote(terms(source_amount=5_000))

    assert quote.destination_asset is None
    asked = [sent for sent in world.sent if sent.amount == 0]
    assert [str(sent.prepare.destination) for sent in asked] == [
        ADDRESS,
        "test.node.bob._.token",
    ]
    assert [
        frame.address
        for sent in asked
        for frame in sent.frames
        if isinstance(frame, ConnectionNewAddress)
    ] == [
        "",
        "private.SEND_ONLY_CLIENT",
    ]


def test_a_known_asset_is_not_asked_for_and_has_to_be_the_same() -> None:
    usd, eur = Asset("USD", 2), Asset("EUR", 2)
    world = World(Path(receiver=Receiver(asset=None)))
    assert world.quote(terms(source_amount=50, destination_asset=eur)).destination_asset == eur
    assert amounts(world) == [50]

    with pytest.raises(QuoteFailed, match=f"counts in {usd}, and {eur} was said before"):
        World(Path()).quote(terms(source_amount=50, destination_asset=eur))


def test_a_quote_says_what_comes_of_it_at_best_and_at_worst() -> None:
    world = World(Path(rate=lambda now: Fraction(3, 2)))
    quote = world.quote(terms(source_amount=10_000, slippage=Fraction(1, 100)))

    assert quote.min_rate == Fraction(3, 2) * Fraction(99, 100)
    assert (quote.source_amount, quote.source_estimate) == (10_000, 10_000)
    assert (quote.delivered_min, quote.delivered_estimate) == (14_850, 15_000)

    quote = World(Path(rate=lambda now: Fraction(3, 2))).quote(
        terms(delivered_amount=15_000, slippage=Fraction(1, 100))
    )
    assert (quote.delivered_min, quote.delivered_estimate) == (15_000, 15_000)
    assert quote.source_estimate == 10_000
    assert quote.source_amount == 10_102  # 15,000 at the least rate, rounded up


def test_a_least_rate_of_the_payers_is_taken_as_it_is() -> None:
    quote = World(Path()).quote(terms(source_amount=10_000, min_rate=Fraction(9, 10)))
    assert quote.min_rate == Fraction(9, 10)

    with pytest.raises(
        QuoteFailed,
        match=r"a probe of 10000 units buys 100\.00 USD, and at the least rate it must buy 101\.00 USD",
    ):
        World(Path()).quote(terms(source_amount=10_000, min_rate=Fraction(101, 100)))


def test_temporary_rejects_are_waited_out() -> None:
    path = Path(answers=lambda prepare, now: says(ErrorCode.PEER_BUSY) if now < 2 else None)
    world = World(path)

    assert world.quote(terms(source_amount=5_000)).rate_low == 1
    assert len(world.sent) < 12


def test_a_path_that_stays_down_is_given_up_with_who_said_what() -> None:
    path = Path(answers=lambda prepare, now: says(ErrorCode.PEER_UNREACHABLE))
    world = World(path)

    with pytest.raises(
        QuoteFailed, match="no probe reached the receiver in 10 seconds"
    ) as failed:
        world.quote(terms(source_amount=5_000))
    assert (failed.value.reject_code, failed.value.triggered_by) == ("T01", HOP)
    assert "T01 by test.hop: not here" in failed.value.reason
    assert world.now == pytest.approx(10)


def test_a_last_probe_that_has_no_time_left_does_not_hide_what_the_others_were_told() -> None:
    def answers(prepare: Prepare, now: float) -> Reply:
        left_ms = prepare.expires_at_ms - START_MS - now * 1000
        late = left_ms < 2_500
        return says(ErrorCode.INSUFFICIENT_TIMEOUT if late else ErrorCode.PEER_UNREACHABLE)

    world = World(Path(answers=answers))

    with pytest.raises(
        QuoteFailed, match="no probe reached the receiver in 10 seconds"
    ) as failed:
        world.quote(terms(source_amount=5_000))
    assert failed.value.reject_code == "T01"


@pytest.mark.parametrize("code", ["F00", "F02", "F06", "F99"])
def test_a_final_reject_ends_it_at_once(code: str) -> None:
    path = Path(answers=lambda prepare, now: says(ErrorCode(code.encode())))

    with pytest.raises(QuoteFailed, match="rejected for good") as failed:
        World(path).quote(terms(source_amount=5_000))
    assert (failed.value.reject_code, failed.value.triggered_by) == (code, HOP)


@pytest.mark.parametrize("code", [ErrorCode.INSUFFICIENT_TIMEOUT, ErrorCode(b"R99")])
def test_what_no_waiting_mends_is_asked_twice_and_no_more(code: ErrorCode) -> None:
    world = World(Path(answers=lambda prepare, now: says(code)))

    with pytest.raises(QuoteFailed, match="rejected 2 times in the same way") as failed:
        world.quote(terms(source_amount=5_000))
    assert (failed.value.reject_code, failed.value.triggered_by) == (code.value.decode(), HOP)
    assert failed.value.reason.endswith(
        f"the last answer was {code.value.decode()} by {HOP}: not here"
    )
    assert len(world.sent) == 2
    assert world.now < 1


def test_two_hops_that_say_the_same_are_not_the_same_answer() -> None:
    def answers(prepare: Prepare, now: float) -> Reply | None:
        hop = len(world.sent)
        if hop > 3:
            return None
        return Reject.build(
            ErrorCode.INSUFFICIENT_TIMEOUT, triggered_by=f"{HOP}.{hop}", message=""
        )

    world = World(Path(answers=answers))
    assert world.quote(terms(source_amount=5_000)).rate_low == 1


def test_too_little_liquidity_for_the_first_probe_makes_the_next_smaller() -> None:
    world = World(Path(liquidity=50))
    quote = world.quote(terms(delivered_amount=20))

    assert amounts(world) == [1_000, 100, 10, 20]
    assert quote.rate_low == 1
    assert world.now < 1


def test_where_a_packet_buys_few_units_probes_find_how_much_rounding_takes() -> None:
    world = World(Path(rate=lambda now: Fraction(9, 1000), maximum=500))
    quote = world.quote(terms(source_amount=50_000))

    # 500 buy 4, and so do 445: what is over is lost.
    assert amounts(world)[:2] == [1_000, 500]
    assert len(world.sent) <= 10
    assert quote.rate_low == Fraction(4, 446)
    assert quote.best_amount == 446
    assert (quote.packet_amount, quote.packet_units) == (447, 4)  # divided evenly
    assert quote.lost_by_rounding < Fraction(1, 100)


def test_where_all_is_one_packet_nothing_more_is_probed_and_the_loss_is_told() -> None:
    world = World(Path(rate=lambda now: Fraction(9, 1000)))
    quote = world.quote(terms(source_amount=500))

    assert amounts(world) == [500]
    assert (quote.packet_amount, quote.packet_units) == (500, 4)
    assert quote.lost_by_rounding == Fraction(1, 5)  # it may have been worth nearly 5


def test_what_is_not_known_of_the_rate_is_no_loss_by_rounding() -> None:
    path = Path(rate=lambda now: Fraction(1019, 961_000), liquidity=10_000)
    quote = World(path).quote(terms(source_amount=10**9))

    assert (quote.rate_low, quote.rate_high) == (Fraction(1, 1000), Fraction(1, 500))
    assert quote.lost_by_rounding == Fraction(1, 10**6 + 1)


def test_a_reply_that_contradicts_the_rate_ends_the_search() -> None:
    path = Path(rate=lambda now: Fraction(9, 1000), maximum=500)
    path.receiver = Receiver(claim=lambda amount: 4 if len(path.receiver.packets) < 2 else 77)
    world = World(path)
    quote = world.quote(terms(source_amount=50_000))

    assert quote.rate_low == Fraction(4, 500)
    assert len(world.sent) == 3


def test_a_path_for_no_amount_at_all_is_no_loop() -> None:
    world = World(Path(maximum=0, tells_maximum=False))

    with pytest.raises(QuoteFailed, match="no packet is small enough"):
        world.quote(terms(source_amount=10**18))
    assert len(world.sent) < 70


def test_too_little_liquidity_for_all_at_once_is_no_failure() -> None:
    world = World(Path(liquidity=2_000))
    quote = world.quote(terms(source_amount=10**6))

    assert amounts(world) == [1_000, 10**6]
    assert quote.path_maximum is None


def test_an_amount_that_buys_nothing_is_refused() -> None:
    with pytest.raises(QuoteFailed, match="5 units, the most that passes, buys nothing"):
        World(Path(rate=lambda now: Fraction(1, 10**6))).quote(terms(source_amount=5))


def test_packets_too_small_for_a_unit_at_the_least_rate_are_refused() -> None:
    path = Path(rate=lambda now: Fraction(2, 3), maximum=1)
    path.receiver = Receiver(claim=lambda amount: 1)

    with pytest.raises(QuoteFailed):
        World(path).quote(terms(source_amount=100, min_rate=Fraction(3, 2)))


def test_a_delivery_that_costs_more_than_may_be_sent_is_refused() -> None:
    with pytest.raises(
        QuoteFailed, match=r"cost at least 999 units, and 900 units may be sent\.$"
    ) as told:
        World(Path()).quote(terms(delivered_amount=1_000, source_amount_max=900))
    assert not told.value.reject_code
    assert not told.value.triggered_by


def test_why_there_is_no_quote_is_said_in_the_assets_that_are_known() -> None:
    asked = terms(
        delivered_amount=1_000,
        source_amount_max=900,
        source_asset=Asset("EUR", 4),
        destination_asset=Asset("USD", 2),
    )
    with pytest.raises(
        QuoteFailed,
        match=r"^10\.00 USD to be delivered cost at least 0\.0999 EUR, and 0\.09 EUR may be sent\.$",
    ) as told:
        World(Path()).quote(asked)
    assert told.value.counted_in == ("USD", 2)


@pytest.mark.parametrize("claim", [AMOUNT_MAX, 0])
def test_a_receiver_that_says_anything_is_given_no_more_than_the_terms_say(claim: int) -> None:
    path = Path(receiver=Receiver(claim=lambda amount: claim))
    world = World(path)
    order = terms(delivered_amount=1_000, source_amount_max=5_000)
    try:
        quote = world.quote(order)
    except QuoteFailed:
        assert not claim
        return
    assert quote.source_amount == 5_000
    outcome = world.pay(order, quote)
    assert outcome.source_sent == path.handed_over <= 5_000


def test_it_never_waits_longer_than_it_may() -> None:
    path = Path(delay=(3.0, 3.0), rate=lambda now: Fraction(1, 10**9))
    world = World(path)

    quote = world.quote(terms(delivered_amount=10**9))

    assert quote.rate_low == Fraction(1, 10**9)
    assert amounts(world) == [1_000, 10**6, 10**9, 10**12]
    last = world.sent[-1]
    assert last.prepare.expires_at_ms == START_MS + 10_000


def test_a_late_probe_leaves_what_is_known() -> None:
    def answers(prepare: Prepare, now: float) -> Reply | None:
        return says(ErrorCode.RATE_LIMITED) if prepare.amount > 1_000 else None

    world = World(Path(answers=answers))
    quote = world.quote(terms(source_amount=10**6))

    assert quote.rate_low == 1
    assert world.now == pytest.approx(10)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "source_amount"),
        ({"source_amount": 1, "delivered_amount": 1}, "source_amount"),
        ({"source_amount": 0}, "source_amount"),
        ({"source_amount": 2**64}, "source_amount"),
        ({"delivered_amount": -1}, "delivered_amount"),
        ({"source_amount": 1, "source_amount_max": 1}, "source_amount_max"),
        ({"source_amount": 1, "min_rate": Fraction(-1)}, "min_rate"),
        ({"source_amount": 1, "slippage": Fraction(1)}, "slippage"),
        ({"source_amount": 1, "destination": "test"}, "destination"),
        ({"source_amount": 1, "destination": "nowhere"}, "destination"),
        ({"source_amount": 1, "data": b"x" * 65_537}, "data"),
        ({"source_amount": 1, "first_sequence": 0}, "first_sequence"),
    ],
)
def test_terms_that_cannot_be_name_their_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(SettingError) as refused:
        terms(**changes)
    assert refused.value.field == field


def test_a_delivery_without_a_least_rate_needs_a_most() -> None:
    with pytest.raises(QuoteFailed, match="the most that may be sent has to be said"):
        World(Path()).quote(terms(delivered_amount=10, min_rate=Fraction(0)))
    quote = World(Path()).quote(
        terms(delivered_amount=10, min_rate=Fraction(0), source_amount_max=50)
    )
    assert quote.source_amount == 50


def test_a_secret_is_not_shown() -> None:
    assert "shared_secret" not in repr(terms(source_amount=1))


@pytest.mark.parametrize("code", ["x" * 20_000, "US\x1b[31mD", "U\nD", ""])
def test_what_cannot_be_shown_is_no_asset(code: str) -> None:
    world = World(Path(receiver=Receiver(asset=ConnectionAssetDetails(code, 2))))

    assert world.quote(terms(source_amount=5_000)).destination_asset is None
