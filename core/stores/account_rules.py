"""What every backend does alike with an account's tokens, its uniqueness and its end."""

from __future__ import annotations

from typing import Final

from core.account import Asset, Secret, format_amount
from core.errors import AccountInUse, SettingError
from core.ledger.books import Balance
from core.settlement.records import SettlementState

OPEN_SETTLEMENTS: Final = frozenset(
    {SettlementState.INTENT, SettlementState.SIGNED, SettlementState.SENT}
)
"""Money of a settlement in one of these states has left the books and not reached its end."""

WRITTEN_OFF: Final = "the account was deleted with this balance"
"""The reason of the correction that brings a deleted account to zero."""


def chosen_token(new: Secret | None, stored: Secret | None) -> Secret | None:
    """Return the outgoing token after a change: None keeps what is stored, an empty one clears it."""
    if new is None:
        return stored
    return new if new.reveal() else None


def refuse_deletion_in_use(
    username: str,
    asset: Asset,
    balance: Balance,
    *,
    settlement_open: bool,
    even_with_balance: bool,
) -> None:
    """Let an account go only if nothing is under way, and no money stands on it unsaid.

    Raises:
        AccountInUse: says what is in the way.
    """
    if balance.pending_in or balance.pending_out:
        raise AccountInUse(username, "it has packets in flight; try again in a minute")
    if balance.unknown_out:
        raise AccountInUse(
            username,
            f"{format_amount(balance.unknown_out, asset)} of its packets is undecided; resolve them first",
        )
    if settlement_open:
        raise AccountInUse(username, "a settlement with it is under way; wait until it ends")
    if balance.net and not even_with_balance:
        who = "you owe it" if balance.net > 0 else "it owes you"
        raise AccountInUse(
            username,
            f"{who} {format_amount(abs(balance.net), asset)}; settle first, or delete it with its balance",
        )


def asset_is_fixed(username: str, asset: Asset) -> SettingError:
    """Return the sentence for a change that would count what was booked in another asset."""
    return SettingError(
        "asset", f"{username} has moved money in {asset}: add another account for another asset"
    )
