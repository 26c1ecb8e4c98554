"""What every payment store refuses, in the same words."""

from __future__ import annotations

from core.errors import Conflict


def refuse_other_order(key: str, known: bytes, given: bytes) -> None:
    """Refuse a key that has made another payment; raises Conflict."""
    if known != given:
        raise Conflict(
            f"the idempotency key {key!r} was used for another order: take a new key for a new payment"
        )


def refuse_too_many(
    still_open: int, open_max: int, of_account: int, account_open_max: int
) -> None:
    """Refuse one payment more than may be under way; raises Conflict."""
    if of_account >= account_open_max:
        raise Conflict(
            f"{of_account} payments of this account are under way, and no more may be at once:"
            " wait for one to end, or cancel it"
        )
    if still_open >= open_max:
        raise Conflict(
            f"{still_open} payments are under way, and no more may be at once: wait for one to end"
        )


def refuse_too_many_invoices(still_open: int, open_max: int) -> None:
    """Refuse one invoice more than may be open; raises Conflict."""
    if still_open >= open_max:
        raise Conflict(
            f"{still_open} invoices of this account are open, and no more may be:"
            " cancel some, or give them an expiry"
        )
