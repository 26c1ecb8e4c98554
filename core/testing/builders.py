"""Accounts and packets as tests need them: everything has a value, and a test names what it is about."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from core.account import Account, AccountId, Asset
from core.packet import Fulfill, Prepare, address
from core.service import IncomingRequest, OutgoingRequest, Trace
from core.testing.clock import START_MS

USD: Final = Asset("USD", 2)
EUR: Final = Asset("EUR", 2)
XRP: Final = Asset("XRP", 9)

FULFILLMENT: Final = b"the proof that a test's packet w"
CONDITION: Final = sha256(FULFILLMENT).digest()


def account(username: str = "alice", **changes: Any) -> Account:
    """Return an account that may send anything and has no limits, but for what a test changes."""
    plain = Account(
        id=AccountId(f"id-of-{username}"),
        username=username,
        ilp_address=address(f"test.node.{username}"),
        asset=USD,
        max_packet_amount=2**64 - 1,
    )
    return replace(plain, **changes)


def prepare(
    amount: int = 100,
    *,
    destination: str = "test.node.bob.invoice",
    expires_in_ms: int = 10_000,
    now_ms: int = START_MS,
    condition: bytes = CONDITION,
    data: bytes = b"",
) -> Prepare:
    """Return a packet that expires so long after `now_ms`."""
    return Prepare.build(
        amount=amount,
        expires_at_ms=now_ms + expires_in_ms,
        condition=condition,
        destination=destination,
        data=data,
    )


def fulfill(data: bytes = b"") -> Fulfill:
    """Return what fulfills `prepare`."""
    return Fulfill.build(FULFILLMENT, data)


def incoming(
    packet: Prepare | None = None, *, sender: Account | None = None
) -> IncomingRequest[Account]:
    """Return a packet that came in from alice."""
    return IncomingRequest(sender or account("alice"), packet or prepare())


def outgoing(
    packet: Prepare | None = None,
    *,
    sender: Account | None = None,
    receiver: Account | None = None,
) -> OutgoingRequest[Account]:
    """Return a packet on its way from alice to bob."""
    packet = packet or prepare()
    return OutgoingRequest(
        sender or account("alice"),
        receiver or account("bob"),
        packet,
        packet.amount,
        packet.expires_at_ms,
        Trace(packet.amount),
    )
