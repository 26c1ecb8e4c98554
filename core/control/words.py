"""Balances in words: who owes whom, never a bare sign."""

from __future__ import annotations

from core.account import Account, format_amount
from core.ledger.books import Balance


def owed(balance: Balance) -> int:
    """Return what we owe, net of what they owe us; their prepayment is not our debt."""
    return max(balance.payable - max(balance.receivable, 0), 0)


def balance_words(account: Account, balance: Balance) -> str:
    """Return a sentence without its full stop: `bob owes you 12.40 USD`."""
    name, asset = account.name, account.asset
    debt = max(balance.payable, 0) - max(balance.receivable, 0)
    prepaid_by_them, prepaid_by_us = max(-balance.receivable, 0), max(-balance.payable, 0)
    parts = []
    if debt > 0:
        parts.append(f"you owe {name} {format_amount(debt, asset)}")
    elif debt < 0:
        parts.append(f"{name} owes you {format_amount(-debt, asset)}")
    if prepaid_by_them:
        parts.append(f"{name} has prepaid {format_amount(prepaid_by_them, asset)}")
    if prepaid_by_us:
        parts.append(f"you have prepaid {name} {format_amount(prepaid_by_us, asset)}")
    return " and ".join(parts) or f"you and {name} are even"


def settling_words(amount: int, account: Account) -> str:
    """Return what is on its way to be paid, to follow a balance that is without it already."""
    return f", {format_amount(amount, account.asset)} being settled"


def counted(number: int, noun: str) -> str:
    """Return `1 route`, `2 routes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
