"""Two accounts that money can move between, and one that does not exist."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from core.account import Account, AccountId, NewTokens, Secret
from core.ledger.books import Transfer
from core.service import Conversion
from core.stores import Stores
from core.testing.builders import CONDITION, account
from core.testing.clock import START_MS

ALICE: Final = AccountId("a11ce000-0000-4000-8000-000000000001")
BOB: Final = AccountId("b0b00000-0000-4000-8000-000000000002")
NOBODY: Final = AccountId("00000000-0000-4000-8000-00000000dead")

NO_TOKENS: Final = NewTokens()


def alice(**changes: Any) -> Account:
    return replace(account("alice", id=ALICE), **changes)


def bob(**changes: Any) -> Account:
    return replace(account("bob", id=BOB), **changes)


def http_token(text: str) -> NewTokens:
    """Return the token with which an account signs in over HTTP, as a change."""
    return NewTokens(ilp_over_http_incoming=Secret(text))


async def add_alice_and_bob(stores: Stores) -> None:
    """Add both, in USD at scale 2 with unlimited credit."""
    await stores.accounts.insert_account(alice(), NO_TOKENS)
    await stores.accounts.insert_account(bob(), NO_TOKENS)


def transfer(amount: int, *, conversion: Conversion | None = None) -> Transfer:
    """Return a packet from alice to bob."""
    return Transfer(
        from_account=ALICE,
        to_account=BOB,
        incoming_amount=amount,
        outgoing_amount=amount,
        conversion=conversion,
        destination="test.node.bob.invoice",
        condition=CONDITION,
        expires_at_ms=START_MS + 30_000,
    )
