"""What is received is told once it is booked, and nothing else is."""

from __future__ import annotations

from core.account import Account
from core.packet import ErrorCode, Reject, Reply
from core.service import Explanation, OutgoingRequest, Received
from core.services.incoming_payments import IncomingPayment, IncomingPaymentsService
from core.testing.builders import fulfill, outgoing, prepare
from core.testing.clock import FakeClock


class Receiver:
    """What stands behind: answers, and says what the packet was to the account."""

    def __init__(self, reply: Reply, received: Received | None, so_far: int | None) -> None:
        self.reply, self.received, self.so_far = reply, received, so_far

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        request.received, request.received_so_far = self.received, self.so_far
        return self.reply

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        return ()


class Told:
    def __init__(self) -> None:
        self.payments: list[IncomingPayment] = []

    def received(self, payment: IncomingPayment) -> None:
        self.payments.append(payment)


REJECT = Reject.build(ErrorCode.FINAL_APPLICATION_ERROR, triggered_by="test.node", message="")
PAYING = Received(connection="c", sequence=4, invoice="i-1")


async def told(
    reply: Reply, received: Received | None, so_far: int | None
) -> list[IncomingPayment]:
    listener, clock = Told(), FakeClock()
    service = IncomingPaymentsService(Receiver(reply, received, so_far), listener, clock)
    assert await service.send(outgoing(prepare(7))) is reply
    return listener.payments


async def test_a_packet_that_was_received_is_told_with_what_its_connection_brought() -> None:
    (payment,) = await told(fulfill(), PAYING, 12)

    assert (payment.to_account, payment.from_account) == ("id-of-bob", "id-of-alice")
    assert (payment.amount, payment.received, payment.sequence) == (7, 12, 4)
    assert (payment.connection, payment.invoice, payment.closes) == ("c", "i-1", False)
    assert payment.destination == "test.node.bob.invoice"
    assert payment.at_ms == FakeClock().now_ms()


async def test_what_is_forwarded_or_refused_is_not_told() -> None:
    assert await told(fulfill(), None, None) == []
    assert await told(REJECT, None, None) == []
    assert await told(REJECT, PAYING, None) == []  # it was received, and could not be booked


async def test_the_packet_that_ends_a_connection_is_told_and_carries_nothing() -> None:
    (payment,) = await told(REJECT, Received(connection="c", sequence=9, closes=True), None)

    assert (payment.amount, payment.closes, payment.received) == (0, True, None)
