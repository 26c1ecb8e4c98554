"""What an operator orders of payments, checked: every fault with its field and what is needed."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Final

from core.account import AMOUNT_MAX_BOOKED, Account, Asset, format_amount, format_number
from core.control.details import read_integer
from core.control.payment_views import InvoiceOrder, PaymentOrder
from core.errors import SettingError, SpspError
from core.packet import AMOUNT_MAX
from core.payments.payer import Order
from core.payments.records import SLIPPAGE_DEFAULT
from core.stream.payment_pointer import payment_url

MEMO_CHARACTERS_MAX: Final = 500
KEY_CHARACTERS_MAX: Final = 255
SLIPPAGE_DENOMINATOR_MAX: Final = 10**18
UNITS_DIGITS_MAX: Final = 20
EXPIRY_SECONDS_MAX: Final = 10 * 366 * 24 * 3600


def read_order(order: PaymentOrder, account: Account) -> Order:
    """Return what is to be paid.

    Raises:
        SettingError: it cannot be; says which field, what was found and what is needed.
    """
    receiver = order.receiver.strip()
    try:
        payment_url(receiver)
    except SpspError as error:
        raise SettingError("receiver", str(error)) from None
    if (order.source_amount is None) == (order.delivered_amount is None):
        found = "neither was given" if order.source_amount is None else "both were given"
        raise SettingError("source_amount", f"{found}; either it or delivered_amount is needed")
    if order.source_amount is not None and order.source_amount_max is not None:
        raise SettingError("source_amount_max", "it is of use with delivered_amount alone")
    return Order(
        account=account.id,
        receiver=receiver,
        source_amount=_amount("source_amount", order.source_amount, AMOUNT_MAX_BOOKED),
        delivered_amount=_amount("delivered_amount", order.delivered_amount, AMOUNT_MAX),
        source_amount_max=_amount(
            "source_amount_max", order.source_amount_max, AMOUNT_MAX_BOOKED
        ),
        slippage=_slippage(order.slippage),
        memo=_text("memo", order.memo),
    )


def order_hash(order: Order) -> bytes:
    """Return what two orders have in common only where they are the same order."""
    parts = [
        order.account,
        order.receiver,
        *(
            None if amount is None else str(amount)
            for amount in (
                order.source_amount,
                order.delivered_amount,
                order.source_amount_max,
            )
        ),
        str(order.slippage),
        order.memo,
    ]
    return sha256(json.dumps(parts).encode()).digest()


def read_key(key: str | None) -> str | None:
    """Return an idempotency key; raises SettingError for one that cannot be."""
    if key is None:
        return None
    if not key.isascii() or not key.isprintable() or not 0 < len(key) <= KEY_CHARACTERS_MAX:
        raise SettingError(
            "Idempotency-Key",
            f"{key[:40]!r} was found; it needs 1 to {KEY_CHARACTERS_MAX} printable ASCII characters",
        )
    return key


def read_invoice(order: InvoiceOrder, now_ms: int) -> tuple[int, str, int | None]:
    """Return a request's amount, description and expiry; raises SettingError."""
    amount = _amount("amount", order.amount, AMOUNT_MAX_BOOKED)
    assert amount is not None
    seconds = order.expires_in_seconds
    if seconds is not None and not 0 < seconds <= EXPIRY_SECONDS_MAX:
        raise SettingError(
            "expires_in_seconds",
            f"{seconds} was found; it needs 1 to {EXPIRY_SECONDS_MAX}, ten years",
        )
    expires_at_ms = None if seconds is None else now_ms + seconds * 1_000
    return amount, _text("description", order.description), expires_at_ms


def read_units(field: str, value: object, asset: Asset | None) -> int:
    """Return an amount in an asset's smallest unit; None stands for the receiver's, which is not known.

    Raises:
        SettingError: it is no whole number; says what it may have been meant to be.
    """
    try:
        return read_integer(field, value)
    except SettingError as error:
        unit = "the receiver's smallest unit" if asset is None else "the smallest unit"
        problem = error.problem.replace("the asset's smallest unit", unit)
    if asset is None:
        units = _units(value, 2) or 100
        words = f"{format_number(units, 2)} where its asset has 2 decimals"
    else:
        meant = _units(value, asset.scale)
        if meant is None:
            problem += f"; {asset.code} has {asset.scale} decimals here"
        units = meant or 10**asset.scale
        words = format_amount(units, asset)
    raise SettingError(field, f"{problem}; in it {units} is {words}")


def _units(value: object, scale: int) -> int | None:
    """Return what was meant, where it is an amount in whole units with as many decimals as there are."""
    try:
        meant = Decimal(str(value)).scaleb(scale)
    except (ArithmeticError, ValueError):
        return None
    is_one = meant.is_finite() and meant.adjusted() < UNITS_DIGITS_MAX
    return int(meant) if is_one and meant > 0 and meant == meant.to_integral_value() else None


def _amount(field: str, amount: int | None, maximum: int) -> int | None:
    if amount is not None and not 0 < amount <= maximum:
        raise SettingError(field, f"{amount} was found; it needs 1 to {maximum}")
    return amount


def _slippage(slippage: Fraction | None) -> Fraction:
    if slippage is None:
        return SLIPPAGE_DEFAULT
    if not 0 <= slippage < 1 or slippage.denominator > SLIPPAGE_DENOMINATOR_MAX:
        raise SettingError(
            "slippage", f"{slippage} was found; it needs 0 to below 1, as 0.015 for 1.5 %"
        )
    return slippage


def _text(field: str, text: str) -> str:
    cleaned = text.strip()
    if len(cleaned) > MEMO_CHARACTERS_MAX:
        raise SettingError(
            field, f"it has {len(cleaned)} characters; {MEMO_CHARACTERS_MAX} are kept"
        )
    if not all(character.isprintable() for character in cleaned):
        raise SettingError(field, "it has characters that cannot be shown, as a line's end is")
    return cleaned
