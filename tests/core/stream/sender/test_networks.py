"""Payments over simulated networks of every kind: what must hold whatever the path and its receiver do."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

from hypothesis import HealthCheck, assume, given, settings, strategies as st

from core.errors import QuoteFailed
from core.packet import AMOUNT_MAX, ErrorCode, Prepare, Reject, Reply
from core.stream.frames import (
    ConnectionAssetDetails,
    ConnectionClose,
    ConnectionMaxData,
    Frame,
    StreamClose,
    StreamData,
    StreamMaxData,
    StreamMaxMoney,
    StreamMoney,
    StreamReceipt,
)
from core.stream.sender.exchange import Exchange, SenderLimits
from core.stream.sender.payment import Payment
from core.stream.sender.rate import times_ceil, times_floor
from core.stream.sender.terms import OutcomeState, PaymentTerms, Quote
from tests.core.stream.sender.simulation import HOP, Path, Receiver, World, terms

PACKETS_MAX = 5_000

rates = st.builds(Fraction, st.integers(1, 3_000), st.integers(1, 3_000))
slippages = st.sampled_from(
    [Fraction(0), Fraction(1, 1000), Fraction(15, 1000), Fraction(1, 5)]
)


@st.composite
def orders(draw: st.DrawFn) -> PaymentTerms:
    amount = draw(st.integers(1, 1_000_000))
    name = draw(st.sampled_from(["source_amount", "delivered_amount"]))
    return terms(**{name: amount, "slippage": draw(slippages)})


@st.composite
def wandering(draw: st.DrawFn, start: Fraction) -> list[Fraction]:
    """Rates of one tenth of a second each, near where they began."""
    moves = st.integers(980, 1_020)
    return [start * Fraction(draw(moves), 1000) for _ in range(draw(st.integers(1, 6)))]


@st.composite
def paths(draw: st.DrawFn) -> Path:
    course = draw(wandering(draw(rates)))
    narrow = draw(st.none() | st.integers(20_000, 2_000_000))
    return Path(
        rate=lambda now: course[int(now * 10) % len(course)],
        maximum=narrow,
        tells_maximum=draw(st.booleans()),
        maximum_is_nonsense=draw(st.booleans()),
        liquidity=draw(st.none() | st.integers(10_000, 3_000_000)),
        busy=draw(st.sampled_from([0.0, 0.0, 0.1, 0.6])),
        lost=draw(st.sampled_from([0.0, 0.0, 0.05])),
        delay=draw(st.sampled_from([(0.0, 0.0), (0.01, 0.01), (0.001, 0.3)])),
        random=Random(draw(st.integers(0, 2**16))),
    )


def too_long(quote: Quote, path: Path) -> bool:
    """Tell whether the payment takes more packets than a test has time for."""
    most = min(quote.path_maximum or quote.source_amount, path.liquidity or quote.source_amount)
    return quote.source_amount // most > PACKETS_MAX


def within_its_means(world: World, exchange: Exchange) -> None:
    if isinstance(exchange, Payment):
        so_far = exchange.progress(world.now)
        assert so_far.source_sent + so_far.in_flight <= exchange._source_max


network = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@network
@given(orders(), paths())
def test_the_sums_are_exact_the_least_rate_holds_and_it_ends(
    order: PaymentTerms, path: Path
) -> None:
    world = World(path, before_step=within_its_means, limits=SenderLimits(idle_seconds=10))
    try:
        quote = world.quote(order)
    except QuoteFailed as failed:
        assert failed.reason
        assert not path.handed_over
        return
    assume(not too_long(quote, path))
    outcome = world.pay(order, quote)

    assert outcome.source_sent == path.handed_over <= quote.source_amount
    assert outcome.delivered == path.receiver.received
    # What finishes a fixed delivery may lose one unit by rounding, and nothing else may.
    rounding = 0 if order.delivered_amount is None else 1
    assert outcome.delivered >= times_ceil(outcome.source_sent - rounding, quote.min_rate)
    assert not outcome.violations
    assert not outcome.unanswered
    assert outcome.reason.endswith(".")
    for sent in world.sent:
        least = times_ceil(sent.amount, quote.min_rate)
        # Where that has fallen short, the last of a fixed delivery may cost what may still be sent.
        assert sent.minimum == least or (
            rounding
            and (
                outcome.packets_rejected
                or sent.minimum >= times_ceil(sent.amount - 1, quote.min_rate)
            )
        )
        assert not sent.amount or sent.prepare.amount == sent.amount
    assert [sent.sequence for sent in world.sent] == list(
        range(quote.next_sequence, outcome.next_sequence)
    )
    if outcome.state is OutcomeState.COMPLETED:
        if order.delivered_amount is not None:
            assert outcome.delivered >= order.delivered_amount
        else:
            left = quote.source_amount - outcome.source_sent
            assert left == 0 or "not sent" in outcome.reason
    else:
        assert outcome.source_sent < quote.source_amount or order.delivered_amount is not None


@network
@given(orders(), paths(), st.integers(0, 400), st.booleans(), st.booleans())
def test_a_receiver_that_lies_gets_no_more_than_may_be_sent_and_is_told_from_an_honest_one(
    order: PaymentTerms, path: Path, percent: int, keeps_minimum: bool, speaks: bool
) -> None:
    honest_until_paid = {"probes": True}

    def claim(amount: int) -> int:
        return amount if honest_until_paid["probes"] else amount * percent // 100

    path.receiver = Receiver(claim=claim, keeps_minimum=keeps_minimum)
    world = World(path, before_step=within_its_means, limits=SenderLimits(idle_seconds=10))
    try:
        quote = world.quote(order)
    except QuoteFailed:
        return
    assume(not too_long(quote, path))
    honest_until_paid["probes"] = False
    path.receiver.speaks = speaks
    outcome = world.pay(order, quote)

    assert outcome.source_sent == path.handed_over <= quote.source_amount
    rounding = 0 if order.delivered_amount is None else 1
    if outcome.delivered < times_ceil(outcome.source_sent - rounding, quote.min_rate):
        assert outcome.violations
        assert outcome.state is OutcomeState.VIOLATION
    if not speaks and outcome.source_sent:
        assert outcome.violations


@network
@given(
    orders(),
    paths(),
    st.sampled_from([code for code in ErrorCode if code.value[:1] == b"F" and code != b"F08"]),
    st.binary(max_size=60),
    st.floats(0.05, 0.3),
)
def test_a_hop_that_rejects_for_good_ends_it_with_its_code_and_its_name(
    order: PaymentTerms, path: Path, code: ErrorCode, data: bytes, share: float
) -> None:
    hop = Random(3)
    paying = False

    def rejects(prepare: Prepare, now: float) -> Reply | None:
        if paying and hop.random() < share:
            return Reject.build(code, triggered_by=HOP, message="never", data=data)
        return None

    path.answers = rejects
    world = World(path, limits=SenderLimits(idle_seconds=10))
    try:
        quote = world.quote(order)
    except QuoteFailed:
        return
    assume(not too_long(quote, path))
    paying = True
    outcome = world.pay(order, quote)

    assert outcome.source_sent == path.handed_over
    assert outcome.delivered == path.receiver.received
    if outcome.state is OutcomeState.REJECTED:
        assert (outcome.reject_code, outcome.triggered_by) == (code.value.decode(), HOP)
        assert "never" in outcome.reason


@network
@given(orders(), paths(), st.integers(1, 200))
def test_a_cancelled_payment_sends_nothing_more_and_counts_what_was_in_flight(
    order: PaymentTerms, path: Path, step: int
) -> None:
    steps = 0

    def cancel(world: World, exchange: Exchange) -> None:
        nonlocal steps
        if isinstance(exchange, Payment):
            steps += 1
            if steps == step:
                exchange.cancel()

    world = World(path, before_step=cancel, limits=SenderLimits(idle_seconds=10))
    try:
        quote = world.quote(order)
    except QuoteFailed:
        return
    assume(not too_long(quote, path))
    outcome = world.pay(order, quote)

    assert outcome.source_sent == path.handed_over
    assert outcome.delivered == path.receiver.received
    if outcome.state is OutcomeState.CANCELLED:
        assert outcome.reason == "It was cancelled."
    if not path.lost and not path.busy:
        assert path.receiver.closed or not outcome.packets_fulfilled


@network
@given(
    st.integers(100, 200_000),
    st.builds(Fraction, st.integers(1, 2_000), st.integers(1, 2_000)),
    st.none() | st.integers(4_000, 100_000),
)
def test_a_receiver_that_takes_no_more_than_it_asked_for_gets_it_to_the_unit(
    asked: int, rate: Fraction, maximum: int | None
) -> None:
    rate = min(rate, 1 / rate)
    assume(rate * (maximum or asked) >= 64)  # else a packet has too few units to be cut
    assume(asked <= rate * (maximum or AMOUNT_MAX) * PACKETS_MAX)
    path = Path(rate=lambda now: rate, maximum=maximum)
    path.receiver.receive_max = asked
    world = World(path, limits=SenderLimits(idle_seconds=10))
    outcome = world.pay(terms(delivered_amount=asked))

    assert outcome.is_completed
    assert outcome.delivered == path.receiver.received == asked


@network
@given(
    st.integers(5, 3_000),
    st.integers(1, 40),
    st.integers(0, 3_000),
    rates,
    slippages.filter(bool),
)
def test_over_a_steady_path_rounding_alone_keeps_no_payment_waiting(
    maximum: int, packets: int, more: int, rate: Fraction, slippage: Fraction
) -> None:
    assume(times_floor(maximum, rate) >= 1)
    path = Path(rate=lambda now: rate, maximum=maximum)
    world = World(path)
    amount = maximum * packets + more % maximum
    try:
        quote = world.quote(terms(source_amount=amount, slippage=slippage))
    except QuoteFailed:
        return
    outcome = world.pay(terms(source_amount=amount, slippage=slippage), quote)

    assert outcome.state in {OutcomeState.COMPLETED, OutcomeState.RATE_TOO_LOW}
    assert world.now < 10
    if outcome.state is OutcomeState.RATE_TOO_LOW:
        assert "rounding to whole units" in outcome.reason
    best = max(Fraction(times_floor(one, rate), one) for one in range(1, maximum + 1))
    assert (
        outcome.delivered >= outcome.source_sent * best * (1 - slippage) * Fraction(9, 10) - 1
    )


uints = st.integers(0, 2**64 - 1) | st.integers(0, 3)
texts = st.text(max_size=8)
hostile_frames = st.one_of(
    st.builds(ConnectionClose, st.integers(0, 255), texts),
    st.builds(ConnectionMaxData, uints),
    st.builds(ConnectionAssetDetails, texts, st.integers(0, 255)),
    st.builds(StreamClose, uints, st.integers(0, 255), texts),
    st.builds(StreamMoney, uints, uints),
    st.builds(StreamMaxMoney, uints, uints, uints),
    st.builds(StreamMaxData, uints, uints),
    st.builds(StreamData, uints, uints, st.binary(max_size=30)),
    st.builds(
        StreamReceipt, uints, st.binary(max_size=60) | st.binary(min_size=58, max_size=58)
    ),
)


@network
@given(
    orders(),
    paths(),
    st.lists(st.lists(hostile_frames, max_size=3).map(tuple), min_size=1, max_size=8),
    st.lists(st.sampled_from([None, *ErrorCode]), min_size=1, max_size=8),
    st.lists(uints | st.none(), min_size=1, max_size=4),
    st.binary(max_size=200),
)
def test_nothing_that_a_receiver_says_breaks_the_sums_or_keeps_it_from_ending(
    order: PaymentTerms,
    path: Path,
    frames: list[tuple[Frame, ...]],
    codes: list[ErrorCode | None],
    claims: list[int | None],
    data: bytes,
) -> None:
    world = World(path, before_step=within_its_means, limits=SenderLimits(idle_seconds=10))
    order = replace(order, data=data)
    try:
        quote = world.quote(order)
    except QuoteFailed:
        return
    assume(not too_long(quote, path))
    receiver = path.receiver

    def claim(amount: int) -> int:
        told = claims[len(receiver.packets) % len(claims)]
        return amount if told is None else told

    receiver.claim = claim
    receiver.frames = lambda packet: frames[packet.sequence % len(frames)]
    receiver.refuses = lambda packet: codes[packet.sequence % len(codes)]
    outcome = world.pay(order, quote)

    assert outcome.source_sent == path.handed_over <= quote.source_amount
    assert outcome.data_sent <= len(data)
    assert len(outcome.violations) <= 5
    if outcome.state is OutcomeState.COMPLETED and order.source_amount is not None:
        assert outcome.source_sent == quote.source_amount or "not sent" in outcome.reason
