"""What a packet means on a connection, without one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from core.links.btp import packet as btp
from core.links.btp.exchange import (
    Answered,
    Asked,
    Exchange,
    Failed,
    Ignored,
    Login,
    Opened,
    Phase,
    Refused,
    Say,
    Violation,
    error_packet,
)
from core.links.btp.packet import BtpError, BtpPacket, SubProtocol, parse_packet, write_ilp
from core.packet import Fulfill
from core.testing.builders import prepare
from tests.core.links.btp.conftest import login

PREPARE = bytes(prepare().octets)
FULFILL = bytes(Fulfill.build(bytes(32)).octets)
NOW_MS = 1_700_000_000_250


@dataclass(eq=False)
class Asking:
    deadline: float = 10.0


def now_ms() -> int:
    return NOW_MS


def open_exchange(*, first_id: int = 100, in_flight_max: int = 10) -> Exchange[Asking]:
    exchange: Exchange[Asking] = Exchange(
        is_server=True, first_id=first_id, in_flight_max=in_flight_max
    )
    assert isinstance(exchange.receive(login("t").encode(), now_ms), Login)
    exchange.accept()
    return exchange


def asked(exchange: Exchange[Asking], waiting: Asking | None = None) -> BtpPacket:
    octets = exchange.ask(waiting or Asking(), PREPARE)
    assert octets is not None
    return parse_packet(octets)


# --- Logging in, as the server


def test_a_client_that_says_who_it_is_is_let_in_with_an_empty_response() -> None:
    exchange: Exchange[Asking] = Exchange(is_server=True, first_id=1, in_flight_max=1)

    event = exchange.receive(login("sesame", "alice", request_id=42).encode(), now_ms)

    assert event == Login("sesame", "alice")
    assert exchange.accept() == BtpPacket(btp.RESPONSE, 42).encode()
    assert exchange.phase is Phase.OPEN


def test_a_client_is_refused_with_an_error_that_says_why() -> None:
    exchange: Exchange[Asking] = Exchange(is_server=True, first_id=1, in_flight_max=1)
    exchange.receive(login("wrong", request_id=42).encode(), now_ms)

    packet = parse_packet(exchange.refuse("the token is wrong", NOW_MS))

    assert packet.request_id == 42
    assert packet.error == BtpError(
        "F00", "NotAcceptedError", NOW_MS + 1, b"the token is wrong"
    )
    assert isinstance(exchange.receive(write_ilp(btp.MESSAGE, 1, PREPARE), now_ms), Ignored)


@pytest.mark.parametrize("moment", [0, 1, 10, 999, 1000, 1_700_000_000_250])
def test_the_time_of_an_error_has_three_decimals_and_no_needless_zero(moment: int) -> None:
    octets = error_packet(1, "F00", "no", moment)

    stamp = octets[octets.index(b"Error") + 6 :].partition(b"Z")[0]

    assert len(stamp.partition(b".")[2]) == 3
    assert not stamp.endswith(b"0")


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (BtpPacket(btp.MESSAGE, 5), "has to be auth"),
        (BtpPacket(btp.MESSAGE, 5, (SubProtocol("ilp", 0, PREPARE),)), "has to be auth"),
        (BtpPacket(btp.MESSAGE, 5, (SubProtocol("auth", 0, b""),)), "auth_token"),
        (
            BtpPacket(
                btp.MESSAGE,
                5,
                (SubProtocol("auth_token", 1, b"t"), SubProtocol("auth", 0, b"")),
            ),
            "has to be auth",
        ),
        (BtpPacket(btp.TRANSFER, 5, amount=1), "has to be a Message"),
    ],
)
def test_a_first_packet_that_does_not_say_who_it_is_is_answered_with_an_error_and_the_end(
    first: BtpPacket, problem: str
) -> None:
    exchange: Exchange[Asking] = Exchange(is_server=True, first_id=1, in_flight_max=1)

    event = exchange.receive(first.encode(), now_ms)

    assert isinstance(event, Violation)
    assert problem in event.problem
    assert event.octets is not None
    answer = parse_packet(event.octets)
    assert answer.request_id == 5
    assert answer.error is not None
    assert exchange.phase is Phase.OVER


@pytest.mark.parametrize(
    "octets",
    [b"", b"garbage", BtpPacket(btp.RESPONSE, 5).encode(), error_packet(5, "F00", "no", 1)],
)
def test_a_first_packet_that_may_not_be_answered_is_not(octets: bytes) -> None:
    exchange: Exchange[Asking] = Exchange(is_server=True, first_id=1, in_flight_max=1)

    event = exchange.receive(octets, now_ms)

    assert isinstance(event, Violation)
    assert event.octets is None


def test_whoever_is_let_in_and_says_once_more_who_it_is_is_looked_at_once_more() -> None:
    exchange = open_exchange()

    event = exchange.receive(login("guess", "bob", request_id=9).encode(), now_ms)
    without = exchange.receive(
        BtpPacket(btp.MESSAGE, 10, (SubProtocol("auth", 0, b""),)).encode(), now_ms
    )

    assert (event, without) == (Login("guess", "bob"), Login("", ""))
    assert parse_packet(exchange.refuse("the token is wrong", NOW_MS)).request_id == 10
    assert exchange.phase is Phase.OVER


# --- Logging in, as the client


def client() -> tuple[Exchange[Asking], BtpPacket]:
    exchange: Exchange[Asking] = Exchange(is_server=False, first_id=7, in_flight_max=10)
    return exchange, parse_packet(exchange.login("sesame", "me"))


def test_a_client_says_its_token_and_waits_for_the_answer() -> None:
    exchange, said = client()

    assert said == BtpPacket(
        btp.MESSAGE,
        7,
        (
            SubProtocol("auth", 0, b""),
            SubProtocol("auth_token", 1, b"sesame"),
            SubProtocol("auth_username", 1, b"me"),
        ),
    )
    assert exchange.receive(BtpPacket(btp.RESPONSE, 7).encode(), now_ms) == Opened()
    assert exchange.phase is Phase.OPEN


def test_a_client_without_a_username_does_not_speak_of_one() -> None:
    exchange: Exchange[Asking] = Exchange(is_server=False, first_id=7, in_flight_max=10)

    said = parse_packet(exchange.login("me:sesame", ""))

    assert [entry.name for entry in said.entries] == ["auth", "auth_token"]


def test_a_client_that_is_refused_knows_why() -> None:
    exchange, _ = client()
    error = BtpError("F00", "NotAcceptedError", 1000, b"invalid auth_token")

    event = exchange.receive(BtpPacket(btp.ERROR, 7, error=error).encode(), now_ms)

    assert event == Refused(error)
    assert exchange.phase is Phase.OVER


@pytest.mark.parametrize(
    "octets",
    [
        BtpPacket(btp.RESPONSE, 8).encode(),
        BtpPacket(btp.MESSAGE, 7).encode(),
        write_ilp(btp.MESSAGE, 1, PREPARE),
        error_packet(9, "F00", "no", 1),
    ],
)
def test_a_client_is_not_let_in_by_anything_but_the_answer_to_its_token(octets: bytes) -> None:
    exchange, _ = client()

    assert isinstance(exchange.receive(octets, now_ms), Ignored)
    assert exchange.phase is Phase.LOGGING_IN


def test_a_server_that_answers_with_garbage_ends_it() -> None:
    exchange, _ = client()

    assert isinstance(exchange.receive(b"garbage", now_ms), Violation)


# --- Asking and answering


def test_requests_are_numbered_one_after_the_other_and_around_the_end() -> None:
    exchange = open_exchange(first_id=btp.REQUEST_ID_MAX)

    assert [asked(exchange).request_id for _ in range(3)] == [btp.REQUEST_ID_MAX, 0, 1]


def test_a_number_that_is_under_way_is_not_given_again() -> None:
    exchange = open_exchange(first_id=5)
    exchange.ask(Asking(), PREPARE)
    exchange._next_id = 5

    assert asked(exchange).request_id == 6


def test_an_answer_is_given_to_its_request_in_any_order() -> None:
    exchange = open_exchange()
    first, second = Asking(), Asking()
    numbers = [asked(exchange, first).request_id, asked(exchange, second).request_id]

    for waiting, number in ((second, numbers[1]), (first, numbers[0])):
        event = exchange.receive(write_ilp(btp.RESPONSE, number, FULFILL), now_ms)
        assert isinstance(event, Answered)
        assert event.waiting is waiting
        assert event.packet is not None
        assert bytes(event.packet) == FULFILL
    assert exchange.in_flight == 0


def test_an_answer_that_was_not_expected_is_never_answered() -> None:
    exchange = open_exchange()
    number = asked(exchange).request_id
    answer = write_ilp(btp.RESPONSE, number, FULFILL)
    exchange.receive(answer, now_ms)

    for octets in (
        answer,
        write_ilp(btp.RESPONSE, 1, FULFILL),
        write_ilp(btp.MESSAGE, 1, FULFILL),
        BtpPacket(btp.RESPONSE, 1).encode(),
        error_packet(1, "F00", "no", 1),
        b"",
        b"\x06\x00",
        b"\x04\x00\x00\x00\x01\x02\x01\x00",
    ):
        assert isinstance(exchange.receive(octets, now_ms), Ignored)


def test_no_more_is_asked_than_may_be_under_way() -> None:
    exchange = open_exchange(in_flight_max=2)
    first = asked(exchange)
    asked(exchange)

    assert exchange.ask(Asking(), PREPARE) is None

    exchange.receive(write_ilp(btp.RESPONSE, first.request_id, FULFILL), now_ms)
    assert exchange.ask(Asking(), PREPARE) is not None


def test_what_is_over_is_listened_for_and_then_forgotten() -> None:
    exchange = open_exchange()
    early, late = Asking(1.0), Asking(2.0)
    number = asked(exchange, early).request_id
    asked(exchange, late)
    assert exchange.next_deadline() == 1.0

    assert exchange.expire(1.5) == [early]
    assert (exchange.in_flight, exchange.late) == (1, 1)
    assert exchange.next_deadline() == 2.0
    event = exchange.receive(write_ilp(btp.RESPONSE, number, FULFILL), now_ms)
    assert isinstance(event, Answered)
    assert event.waiting is early

    assert exchange.expire(2.0) == [late]
    assert exchange.forget_late(1.9) == []
    assert exchange.forget_late(2.0) == [late]
    assert exchange.late == 0


def test_not_more_is_listened_for_than_may_be_under_way() -> None:
    exchange = open_exchange(in_flight_max=3)
    for _ in range(4):
        for number in range(3):
            asked(exchange, Asking(float(number)))
        exchange.expire(5.0)

    gone = exchange.forget_late(-1.0)

    assert len(gone) == 9
    assert exchange.late == 3


def test_at_the_end_everything_that_was_under_way_is_told() -> None:
    exchange = open_exchange()
    over, waiting = Asking(1.0), Asking(9.0)
    asked(exchange, over)
    asked(exchange, waiting)
    exchange.expire(5.0)

    assert exchange.end() == ([waiting], [over])
    assert exchange.phase is Phase.OVER


def test_a_prepare_is_handed_on_with_its_number_and_answered_by_it() -> None:
    exchange = open_exchange()

    event = exchange.receive(write_ilp(btp.MESSAGE, 77, PREPARE), now_ms)

    assert isinstance(event, Asked)
    assert (event.request_id, bytes(event.packet)) == (77, PREPARE)
    assert exchange.answer(77, FULFILL) == write_ilp(btp.RESPONSE, 77, FULFILL)


def test_ilp_is_found_wherever_it_stands_among_other_sub_protocols() -> None:
    exchange = open_exchange()
    entries = (SubProtocol("other", 1, b"x"), SubProtocol("ilp", 0, PREPARE))

    event = exchange.receive(BtpPacket(btp.MESSAGE, 3, entries).encode(), now_ms)

    assert isinstance(event, Asked)
    assert bytes(event.packet) == PREPARE


def test_a_message_without_ilp_gets_an_empty_response() -> None:
    exchange = open_exchange()
    message = BtpPacket(btp.MESSAGE, 3, (SubProtocol("balance", 2, b"{}"),))

    assert exchange.receive(message.encode(), now_ms) == Say(
        BtpPacket(btp.RESPONSE, 3).encode()
    )


def test_a_transfer_is_not_accepted() -> None:
    exchange = open_exchange()

    event = exchange.receive(BtpPacket(btp.TRANSFER, 3, amount=5).encode(), now_ms)

    assert isinstance(event, Say)
    answer = parse_packet(event.octets)
    assert answer.request_id == 3
    assert answer.error is not None
    assert answer.error.code == "F00"


def test_an_error_is_the_answer_to_its_request() -> None:
    exchange = open_exchange()
    waiting = Asking()
    number = asked(exchange, waiting).request_id

    event = exchange.receive(error_packet(number, "T00", "later", NOW_MS), now_ms)

    assert isinstance(event, Failed)
    assert event.waiting is waiting
    assert event.error.words == "T00 UnreachableError: later"


def test_an_answer_without_ilp_is_an_answer_all_the_same() -> None:
    exchange = open_exchange()
    number = asked(exchange).request_id

    event = exchange.receive(BtpPacket(btp.RESPONSE, number).encode(), now_ms)

    assert isinstance(event, Answered)
    assert event.packet is None


# --- Interledger.rs, whose types are the wrong way round


def test_whoever_sends_the_types_the_wrong_way_round_gets_them_so() -> None:
    exchange = open_exchange()
    assert asked(exchange).kind == btp.MESSAGE

    event = exchange.receive(write_ilp(btp.RESPONSE, 9, PREPARE), now_ms)

    assert isinstance(event, Asked)
    assert exchange.answer(9, FULFILL) == write_ilp(btp.MESSAGE, 9, FULFILL)
    ours = asked(exchange)
    assert ours.kind == btp.RESPONSE
    event = exchange.receive(write_ilp(btp.MESSAGE, ours.request_id, FULFILL), now_ms)
    assert isinstance(event, Answered)


def test_an_answer_of_the_wrong_type_to_a_request_of_the_right_one_is_understood() -> None:
    exchange = open_exchange()
    number = asked(exchange).request_id

    event = exchange.receive(write_ilp(btp.MESSAGE, number, FULFILL), now_ms)

    assert isinstance(event, Answered)
    assert asked(exchange).kind == btp.RESPONSE
    exchange.receive(write_ilp(btp.MESSAGE, 9, PREPARE), now_ms)
    assert asked(exchange).kind == btp.MESSAGE


# --- Any octets


@given(packets=st.lists(st.binary(max_size=60), max_size=5))
def test_no_octets_answer_what_was_not_asked(packets: list[bytes]) -> None:
    exchange = open_exchange()
    for octets in packets:
        event = exchange.receive(octets, now_ms)
        assert not isinstance(event, Answered | Failed | Login | Opened | Refused | Violation)
