"""What a payment does with each thing that a path or a receiver can do to it, one at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest

from core.account import Asset
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply
from core.stream.crypto import StreamKeys
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
    StreamMoneyBlocked,
    StreamReceipt,
)
from core.stream.packet import PacketType, StreamPacket
from core.stream.sender.connection import PACKETS_MAX
from core.stream.sender.exchange import Exchange, SenderLimits
from core.stream.sender.payment import Payment
from core.stream.sender.terms import OutcomeState, Quote
from tests.core.stream.sender.simulation import ADDRESS, HOP, SECRET, Path, World, terms

PLAIN = Quote(
    min_rate=Fraction(99, 100),
    rate_low=Fraction(1),
    rate_high=Fraction(1001, 1000),
    source_amount=10_000,
    delivered_min=9_900,
    delivered_estimate=10_000,
    source_estimate=10_000,
    path_maximum=1_000,
    passed=1_000,
    destination_asset=Asset("USD", 2),
    quoted_at_ms=0,
    next_sequence=5,
)
ORDER = terms(source_amount=10_000)


def rejecting(code: ErrorCode, *, first: int, data: bytes = b"", by: str = HOP) -> Path:
    """Return a path that rejects so many packets before it lets any through."""
    path, left = Path(), [first]

    def answers(prepare: Prepare, now: float) -> Reply | None:
        if not left[0]:
            return None
        left[0] -= 1
        return Reject.build(code, triggered_by=by, message="not now", data=data)

    path.answers = answers
    return path


def money(world: World) -> list[int]:
    return [sent.amount for sent in world.sent if sent.amount]


def test_each_packet_carries_its_share_its_number_and_the_least_that_must_arrive() -> None:
    world = World(Path())
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.COMPLETED
    assert money(world) == [1_000] * 10
    packets = world.path.receiver.packets
    assert [packet.sequence for packet in packets] == list(range(5, 16))
    assert {packet.amount for packet in packets[:-1]} == {990}
    assert all(StreamMoney(1, 1) in packet.frames for packet in packets[:-1])
    assert {sent.prepare.destination for sent in world.sent} == {ADDRESS}
    assert outcome.next_sequence == 16
    assert outcome.reject_code == outcome.triggered_by == ""


def test_the_last_packet_closes_stream_and_connection_and_cannot_be_fulfilled() -> None:
    world = World(Path())
    world.pay(ORDER, PLAIN)

    last = world.path.receiver.packets[-1]
    assert last.frames == (StreamClose(1, 1, ""), ConnectionClose(1, ""))
    assert world.sent[-1].amount == 0
    assert world.sent[-1].fulfillment == b""


def test_packets_in_flight_begin_few_and_double_while_all_is_well() -> None:
    world = World(Path())
    world.pay(terms(source_amount=200_000), _quote(source_amount=200_000))

    early = [sent.sent_at for sent in world.sent]
    assert early.count(0.0) == 10
    assert early.count(early[10]) == 20
    assert world.most_in_flight == 64


@pytest.mark.parametrize("code", ["T00", "T01", "T02", "T03", "T05", "T99", "R00", "R99"])
def test_a_temporary_reject_pauses_it_and_halves_how_many_fly(code: str) -> None:
    world = World(rejecting(ErrorCode(code.encode()), first=10))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert (outcome.packets_rejected, outcome.packets_fulfilled) == (10, 10)
    times = sorted({sent.sent_at for sent in world.sent})
    assert 0.075 <= times[1] - times[0] <= 0.15
    assert sum(sent.sent_at == times[1] for sent in world.sent) == 5


def test_pauses_grow_and_no_packet_is_sent_in_them() -> None:
    world = World(
        rejecting(ErrorCode.PEER_UNREACHABLE, first=10**9),
        limits=SenderLimits(idle_seconds=30),
    )
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.IDLE
    assert (outcome.reject_code, outcome.triggered_by) == ("T01", HOP)
    assert "T01 Peer Unreachable by test.hop: not now" in outcome.reason
    assert outcome.seconds == pytest.approx(30, abs=0.1)
    assert len(world.sent) < 40
    times = sorted({sent.sent_at for sent in world.sent})
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[0] < 0.5 < 2.9 < gaps[-1] < 5.1


def test_two_senders_do_not_come_back_at_the_same_moment() -> None:
    again = []
    for seed in (1, 2):
        world = World(rejecting(ErrorCode.RATE_LIMITED, first=10), seed=seed)
        world.pay(ORDER, PLAIN)
        again.append(sorted({sent.sent_at for sent in world.sent})[1])
    assert again[0] != again[1]


def test_a_lack_of_liquidity_halves_what_is_in_flight() -> None:
    world = World(Path(liquidity=3_000))
    outcome = world.pay(terms(source_amount=100_000), _quote(source_amount=100_000))

    assert outcome.is_completed
    assert outcome.source_sent == 100_000
    assert outcome.reject_code == ""
    assert outcome.packets_rejected < outcome.packets_fulfilled


def test_a_lack_of_liquidity_for_one_packet_makes_packets_smaller() -> None:
    world = World(Path(liquidity=400))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert outcome.packets_rejected < outcome.packets_fulfilled
    assert max(money(world)[-10:]) < 1_000


def test_where_no_probe_of_all_found_room_it_begins_with_what_passed_and_doubles() -> None:
    world = World(Path(liquidity=150_000))
    outcome = world.pay(terms(source_amount=10**6))

    assert outcome.is_completed
    assert money(world)[0] == 10_000
    assert max(money(world)) > 50_000
    assert outcome.packets_rejected < 8


def test_an_f08_makes_packets_as_large_as_it_says() -> None:
    world = World(Path(maximum=300))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert money(world)[:10] == [1_000] * 10
    assert max(money(world)[20:]) <= 300
    assert outcome.packets_fulfilled <= -(-10_000 // 300) + 1


def test_an_f08_without_data_halves_them_and_is_no_loop() -> None:
    world = World(Path(maximum=300, tells_maximum=False))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert outcome.packets_rejected < 30
    assert {1_000, 500, 250} <= set(money(world))


def test_a_path_for_no_packet_at_all_ends_it() -> None:
    world = World(Path(maximum=0, tells_maximum=False))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.REJECTED
    assert outcome.reject_code == "F08"
    assert world.now < 1


def test_a_limit_below_one_unit_is_said_to_be_too_narrow() -> None:
    rate = Fraction(1, 1000)
    world = World(Path(rate=lambda now: rate, maximum=900))
    quote = _quote(min_rate=rate, rate_low=rate, rate_high=rate * 2)
    outcome = world.pay(ORDER, quote)

    assert outcome.state is OutcomeState.PATH_TOO_NARROW
    assert outcome.source_sent == 0


@pytest.mark.parametrize("code", ["F00", "F02", "F05", "F06", "F99"])
def test_a_final_reject_ends_it_with_the_code_and_who_gave_it(code: str) -> None:
    path = Path()
    seen = 0

    def answers(prepare: Prepare, now: float) -> Reply | None:
        nonlocal seen
        seen += 1
        if seen == 4:
            return Reject.build(ErrorCode(code.encode()), triggered_by=HOP, message="never")
        return None

    path.answers = answers
    world = World(path)
    outcome = world.pay(terms(source_amount=10**6), _quote(source_amount=10**6))

    assert outcome.state is OutcomeState.REJECTED
    assert (outcome.reject_code, outcome.triggered_by) == (code, HOP)
    assert outcome.reason.endswith(f"by {HOP}: never.")
    # What was in flight with it is counted, and nothing more was sent.
    assert outcome.source_sent == path.handed_over == 15_000
    assert outcome.delivered == path.receiver.received == 15_000
    assert [sent.amount for sent in world.sent if sent.sent_at > 0.01] == [0]


@pytest.mark.parametrize(
    "code", [ErrorCode.FINAL_APPLICATION_ERROR, ErrorCode.INSUFFICIENT_DESTINATION_AMOUNT]
)
def test_a_rate_below_the_least_is_waited_out_and_then_ends_it(code: ErrorCode) -> None:
    path = Path(rate=lambda now: Fraction(98, 100))
    path.receiver.short_code = code
    world = World(path, limits=SenderLimits(idle_seconds=1_000))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.RATE_TOO_LOW
    assert outcome.reject_code == code.value.decode()
    assert outcome.triggered_by == ADDRESS
    assert outcome.source_sent == path.handed_over == 0


def test_a_rate_that_recovers_in_time_loses_nothing() -> None:
    path = Path(rate=lambda now: Fraction(1, 2) if now < 3 else Fraction(1))
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert outcome.delivered == outcome.source_sent == 10_000


def test_a_hop_cannot_make_us_believe_that_it_is_the_receiver() -> None:
    forged = StreamKeys(b"x" * 32).encrypt(
        StreamPacket(5, PacketType.REJECT, 0, (ConnectionClose(1, ""),)).encode()
    )
    world = World(rejecting(ErrorCode.INTERNAL_ERROR, first=10, data=forged))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.is_completed


def test_an_old_reply_of_the_receiver_is_not_taken_for_one_to_this_packet() -> None:
    old = StreamKeys(SECRET).encrypt(
        StreamPacket(1, PacketType.REJECT, 0, (ConnectionClose(1, ""),)).encode()
    )
    world = World(rejecting(ErrorCode.INTERNAL_ERROR, first=1, data=old))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert outcome.violations == ("packet 5 was answered with number 1",)


def test_a_fulfill_turned_into_a_reject_moves_no_money_and_is_told() -> None:
    path = Path()

    def answers(prepare: Prepare, now: float) -> Reply | None:
        reply = path.receiver.handle(prepare, prepare.amount)
        if not isinstance(reply, Fulfill):
            return reply
        return Reject.build(
            ErrorCode.UNREACHABLE, triggered_by=HOP, message="", data=reply.data
        )

    path.answers = answers
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.REJECTED
    assert (outcome.source_sent, outcome.delivered) == (0, 0)
    assert "came back as reject, and says it is a fulfill" in outcome.violations[0]


def test_a_fulfillment_that_does_not_fit_is_none() -> None:
    path = Path(answers=lambda prepare, now: Fulfill.build(b"f" * 32))
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.REJECTED
    assert outcome.source_sent == 0
    assert "does not fit its condition" in outcome.violations[0]


def test_a_receiver_that_takes_money_for_too_little_is_stopped_and_named() -> None:
    path = Path(rate=lambda now: Fraction(1, 2))
    path.receiver.keeps_minimum = False
    outcome = World(path).pay(replace(ORDER, source_asset=Asset("EUR", 1)), PLAIN)

    assert outcome.state is OutcomeState.VIOLATION
    assert "took 100.0 EUR for 5.00 USD, and the least was 9.90 USD" in outcome.reason
    assert outcome.delivered == path.receiver.received
    assert outcome.source_sent == 10_000  # ten were in flight before the first came back


def test_a_fulfill_without_a_word_counts_for_the_least_and_is_told() -> None:
    path = Path()
    path.receiver.speaks = False
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert (outcome.source_sent, outcome.delivered) == (10_000, 9_900)
    assert not outcome.delivered_exact
    assert len(outcome.violations) == 5
    assert not path.receiver.closed


def test_one_word_that_is_missing_is_enough_to_know_only_a_least() -> None:
    path, told = Path(), []

    def answers(prepare: Prepare, now: float) -> Reply | None:
        path.receiver.speaks = len(path.receiver.packets) != 3
        return None

    def look(world: World, exchange: Exchange) -> None:
        assert isinstance(exchange, Payment)
        told.append(exchange.progress(world.now))

    path.answers = answers
    outcome = World(path, before_step=look).pay(ORDER, PLAIN)

    assert (outcome.delivered, outcome.delivered_exact) == (9_990, False)
    assert outcome.violations == told[-1].violations
    assert [each.delivered_exact for each in told] == [
        each.delivered in range(0, 4_000, 1_000) for each in told
    ]


def test_what_asks_and_brings_nothing_needs_no_word_to_be_exact() -> None:
    path = Path()

    def answers(prepare: Prepare, now: float) -> Reply | None:
        path.receiver.speaks = prepare.amount > 0 or now > 5
        path.receiver.receive_max = 10_000 if now > 5 else 3_300
        return None

    path.answers = answers
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert "without a word" in outcome.violations[0]
    assert (outcome.delivered, outcome.delivered_exact) == (10_000, True)


def test_a_changed_asset_ends_it() -> None:
    path = Path()
    path.receiver.frames = lambda packet: (ConnectionAssetDetails("EUR", 2),)
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.VIOLATION
    assert "counted in USD@2, and now in EUR@2" in outcome.reason


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            ConnectionClose(2, "broken"),
            "The receiver closed the connection, internal error: broken.",
        ),
        (StreamClose(1, 77, ""), "The receiver closed the stream, code 77."),
    ],
    ids=["connection", "stream"],
)
def test_a_receiver_that_closes_ends_it_with_its_words(frame: Frame, said: str) -> None:
    path = Path()
    path.receiver.refuses = lambda packet: (
        ErrorCode.FINAL_APPLICATION_ERROR if packet.sequence > 8 else None
    )
    path.receiver.frames = lambda packet: (frame,) if packet.sequence > 8 else ()
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.CLOSED
    assert outcome.reason == said
    assert (outcome.reject_code, outcome.triggered_by) == ("F99", ADDRESS)
    assert outcome.delivered == path.receiver.received == 4_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (b"account closed", " It says: account closed"),
        (b"a\nb", ""),
        (b"\xff" * 1_000, " It says: " + "\N{REPLACEMENT CHARACTER}" * 256),
    ],
    ids=["words", "lines", "none"],
)
def test_why_a_receiver_declines_is_told_in_its_own_words(words: bytes, said: str) -> None:
    path = Path()
    path.receiver.refuses = lambda packet: ErrorCode.FINAL_APPLICATION_ERROR
    path.receiver.frames = lambda packet: (ConnectionClose(1, ""), StreamData(1, 0, words))
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.CLOSED
    assert outcome.reason == f"The receiver closed the connection, no error.{said}"
    assert outcome.received_data == words


def test_a_receiver_that_closes_with_the_last_packet_was_paid() -> None:
    path = Path()
    path.receiver.frames = lambda packet: (
        (ConnectionClose(1, "thanks"),) if packet.sequence == 14 else ()
    )
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert "thanks" in outcome.reason


def test_a_receiver_that_refuses_without_a_reason_is_asked_only_so_often() -> None:
    path = Path()
    path.receiver.refuses = lambda packet: ErrorCode.FINAL_APPLICATION_ERROR
    outcome = World(path).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.REJECTED
    assert (outcome.reject_code, outcome.triggered_by) == ("F99", ADDRESS)


def test_a_receiver_that_takes_no_more_is_filled_to_the_unit_and_then_asked_now_and_then() -> (
    None
):
    path = Path()
    path.receiver.receive_max = 3_300
    world = World(path, limits=SenderLimits(idle_seconds=20))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.RECEIVER_FULL
    assert outcome.reason == (
        "The receiver takes no more than 33.00 USD and did not raise that for 20 seconds."
    )
    assert outcome.delivered == path.receiver.received == 3_300
    asked = [
        frame for packet in path.receiver.packets for frame in packet.of(StreamMoneyBlocked)
    ]
    assert 3 <= len(asked) <= 12


@pytest.mark.parametrize(("least", "received"), [(93, 36 * 93), (0, 35 * 93)])
def test_the_last_that_a_receiver_in_a_finer_unit_takes_is_the_least_that_can_be_sent(
    least: int, received: int
) -> None:
    path = Path(rate=lambda now: Fraction(93))
    path.receiver.receive_max, path.receiver.least = 3_300, least
    world = World(path, limits=SenderLimits(idle_seconds=5))
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.RECEIVER_FULL
    assert outcome.delivered == path.receiver.received
    assert outcome.delivered == received
    assert sum(packet.amount == 0 for packet in path.receiver.packets) < 12


def test_a_receiver_that_makes_room_is_paid_the_rest() -> None:
    path = Path()
    path.receiver.receive_max = 3_300

    def makes_room(world: World, exchange: Exchange) -> None:
        if world.now > 5:
            path.receiver.receive_max = 20_000

    outcome = World(path, before_step=makes_room).pay(ORDER, PLAIN)

    assert outcome.is_completed
    assert path.receiver.received == 10_000


def test_a_receiver_that_only_says_that_it_makes_room_does_not_hurry_us() -> None:
    path = Path()
    path.receiver.refuses = lambda packet: ErrorCode.TEMPORARY_APPLICATION_ERROR
    path.receiver.frames = lambda packet: (
        StreamMaxMoney(1, 10**6 + len(path.receiver.packets), 0),
    )
    world = World(path)
    outcome = world.pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.IDLE
    assert len(world.sent) < 60


def test_what_is_complete_after_all_is_completed() -> None:
    def cancel(world: World, exchange: Exchange) -> None:
        if world.most_amount_in_flight == 10_000:
            assert isinstance(exchange, Payment)
            exchange.cancel()

    outcome = World(Path(), before_step=cancel).pay(ORDER, PLAIN)

    assert outcome.state is OutcomeState.COMPLETED
    assert outcome.reason == "All was sent all the same. It was cancelled."


def test_a_fixed_delivery_ends_at_what_was_asked_for() -> None:
    path = Path(rate=lambda now: Fraction(3, 4), maximum=1_000)
    world = World(path)
    outcome = world.pay(terms(delivered_amount=7_501))

    assert outcome.is_completed
    assert path.receiver.received == outcome.delivered
    assert 7_501 <= outcome.delivered <= 7_600


def test_a_fixed_delivery_never_costs_more_than_may_be_sent() -> None:
    path = Path(rate=lambda now: Fraction(99, 100) if now else Fraction(1))
    world = World(path)
    quote = _quote(source_amount=10_000, path_maximum=100)
    outcome = world.pay(terms(delivered_amount=10_000, source_amount_max=10_000), quote)

    assert outcome.state is OutcomeState.SOURCE_SPENT
    assert outcome.source_sent == path.handed_over <= 10_000
    assert outcome.delivered == path.receiver.received < 10_000


def test_it_ends_when_its_time_is_over_and_tells_what_was_sent() -> None:
    world = World(Path(), limits=SenderLimits(total_seconds=0.1))
    outcome = world.pay(terms(source_amount=10**6), _quote(source_amount=10**6))

    assert outcome.state is OutcomeState.DEADLINE
    assert 0 < outcome.source_sent == world.path.handed_over < 10**6
    assert outcome.seconds < 0.2


def test_packets_that_nobody_answers_are_told_apart_and_do_not_hold_it_up_for_ever() -> None:
    class Silent(Path):
        def send(self, prepare: Prepare, now: float) -> tuple[float, Reply]:
            at, reply = Path.send(self, prepare, now)
            return (10**9 if now > 0.025 else at), reply

    world = World(Silent(), limits=SenderLimits(idle_seconds=5))
    outcome = world.pay(terms(source_amount=10**6), _quote(source_amount=10**6))

    assert outcome.state is OutcomeState.IDLE
    assert outcome.source_sent + outcome.unanswered == world.path.handed_over
    assert outcome.unanswered
    assert outcome.seconds < 40


def test_a_hop_that_wants_more_time_is_given_more() -> None:
    world = World(rejecting(ErrorCode.INSUFFICIENT_TIMEOUT, first=10))
    world.pay(ORDER, PLAIN)

    def seconds(index: int) -> float:
        sent = world.sent[index]
        return (sent.prepare.expires_at_ms - 1_800_000_000_000) / 1000 - sent.sent_at

    assert seconds(0) == pytest.approx(30, abs=0.01)
    assert seconds(-2) == pytest.approx(60, abs=0.01)


def test_a_connection_ends_before_its_key_has_encrypted_too_much() -> None:
    quote = _quote(next_sequence=PACKETS_MAX - 5)
    world = World(Path())
    outcome = world.pay(ORDER, quote)

    assert outcome.state is OutcomeState.EXHAUSTED
    assert outcome.source_sent == 4_000
    assert world.sent[-1].sequence == PACKETS_MAX - 1


def test_data_goes_with_the_money_in_order_and_again_where_it_was_refused() -> None:
    path = rejecting(ErrorCode.PEER_BUSY, first=3)
    data = Random(5).randbytes(40_000)
    outcome = World(path).pay(terms(source_amount=10_000, data=data), PLAIN)

    assert outcome.is_completed
    assert outcome.data_sent == len(data)
    assert b"".join(path.receiver.data[at] for at in sorted(path.receiver.data)) == data


def test_data_beyond_what_the_receiver_takes_waits_until_it_takes_more() -> None:
    path, room = Path(), 10

    def frames(packet: StreamPacket) -> tuple[Frame, ...]:
        return (ConnectionMaxData(100), StreamMaxData(1, room))

    def more(world: World, exchange: Exchange) -> None:
        nonlocal room
        if world.now > 2:
            room = 100

    path.receiver.frames = frames
    quote = _quote(next_sequence=5, source_amount=10_000)
    world = World(path, before_step=more)
    order = terms(source_amount=10_000, data=b"d" * 16_384 + b"e" * 10)
    outcome = world.pay(order, quote)

    assert outcome.is_completed
    assert outcome.source_sent == 10_000
    # The first packet's worth goes before the receiver has said what it takes, the rest never.
    assert outcome.data_sent == 16_384
    assert "only 16384 octets" in outcome.reason


def test_what_the_receiver_sends_back_is_put_in_order_and_bounded() -> None:
    path = Path()
    pieces = {
        5: (StreamData(1, 3, b"def"),),
        6: (StreamData(1, 0, b"abc"), StreamData(2, 0, b"no")),
    }
    path.receiver.frames = lambda packet: pieces.get(packet.sequence, ())
    assert World(path).pay(ORDER, PLAIN).received_data == b"abcdef"

    path = Path()
    path.receiver.frames = lambda packet: (StreamData(1, 65_530, b"too much"),)
    outcome = World(path).pay(ORDER, PLAIN)
    assert outcome.state is OutcomeState.VIOLATION
    assert outcome.received_data == b""


def test_the_receipt_with_the_highest_total_is_kept() -> None:
    path = Path(delay=(0.001, 0.3))

    def receipt(total: int) -> bytes:
        return b"\1" + b"n" * 16 + b"\1" + total.to_bytes(8, "big") + b"h" * 32

    path.receiver.frames = lambda packet: (
        StreamReceipt(1, receipt(path.receiver.received)),
        StreamReceipt(1, b"not one"),
    )
    outcome = World(path).pay(ORDER, PLAIN)
    assert dict(outcome.receipts) == {1: receipt(10_000)}


def test_a_crumb_that_buys_nothing_is_not_sent_and_said() -> None:
    rate = Fraction(1, 1000)
    path = Path(rate=lambda now: rate)
    outcome = World(path).pay(terms(source_amount=1_500, min_rate=rate))

    assert outcome.state is OutcomeState.COMPLETED
    assert outcome.source_sent == path.handed_over == 1_000
    assert (
        outcome.reason == "The last 500 were not sent: at the least rate they buy not one unit."
    )


def test_small_packets_into_a_coarse_unit_lose_no_tenth_of_what_is_sent() -> None:
    path = Path(rate=lambda now: Fraction(9, 1000), maximum=500)
    outcome = World(path).pay(terms(source_amount=50_000))

    assert outcome.is_completed
    assert outcome.delivered == path.receiver.received >= 446  # 450 if nothing were lost


def test_a_rest_of_which_rounding_takes_too_much_is_not_waited_for() -> None:
    world = World(Path(rate=lambda now: Fraction(53_855, 100_000), maximum=51))
    outcome = world.pay(terms(source_amount=978, slippage=Fraction(1, 1000)))

    assert outcome.is_completed
    assert 978 - outcome.source_sent == 9  # they would buy four, and have to buy five
    assert outcome.reason.endswith(
        "rounding to whole units takes more of them than the least rate allows."
    )
    assert world.now < 2


def test_more_than_a_crumb_that_rounding_takes_too_much_of_is_not_said_to_be_complete() -> None:
    world = World(Path(rate=lambda now: Fraction(131, 13), maximum=2_200))
    outcome = world.pay(terms(source_amount=7_257, slippage=Fraction(0)))

    assert outcome.state is OutcomeState.RATE_TOO_LOW
    assert "rounding to whole units" in outcome.reason
    assert 0 < outcome.source_sent < 7_257
    assert world.now < 2


def test_where_a_hop_between_counts_in_coarse_units_what_has_passed_is_kept_to() -> None:
    # A hundred of ours are one unit of the hop's: 479 would be delivered as 400.
    path = Path(maximum=500, between=Fraction(1, 100))
    world = World(path)
    outcome = world.pay(terms(source_amount=10_050))

    assert outcome.is_completed
    assert outcome.source_sent == path.receiver.received == 10_000
    assert outcome.reason.startswith("The last 50 were not sent: rounding")
    assert outcome.packets_rejected < 20


def test_a_fixed_delivery_keeps_to_it_too() -> None:
    path = Path(maximum=500, between=Fraction(1, 100))
    world = World(path)
    outcome = world.pay(terms(delivered_amount=10_100))

    assert outcome.is_completed
    assert 10_100 <= outcome.delivered == path.receiver.received <= 10_200
    assert outcome.packets_rejected < 20


def test_a_fixed_delivery_of_which_hops_round_away_the_end_is_not_waited_for() -> None:
    path = Path(maximum=500, between=Fraction(1, 100))
    world = World(path)
    outcome = world.pay(terms(delivered_amount=1_001))

    assert outcome.state is OutcomeState.SOURCE_SPENT
    assert outcome.reason.startswith(
        "The last 0.01 USD of 10.01 USD are missing: rounding takes more"
    )
    assert outcome.delivered == path.receiver.received == 1_000
    assert world.now < 3


def _quote(**changes: object) -> Quote:
    return replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_progress_tells_how_far_it_is() -> None:
    told = []

    def look(world: World, exchange: Exchange) -> None:
        assert isinstance(exchange, Payment)
        told.append(exchange.progress(world.now))

    World(rejecting(ErrorCode.PEER_BUSY, first=2), before_step=look).pay(ORDER, PLAIN)

    assert told[0].source_sent == 0
    assert told[-1].source_sent == told[-1].delivered == 10_000
    assert told[-1].packets_fulfilled == 10
    assert told[-1].packets_rejected == 2
    assert told[-1].last_reject_code == "T02"
    assert any(each.waits for each in told)
    assert [each.source_sent for each in told] == sorted(each.source_sent for each in told)
