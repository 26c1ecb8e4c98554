"""What the node answered, looked at field by field; it may be another program that answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from core.account import SCALE_MAX, format_number
from core.cli.client import Refused

Row: TypeAlias = Mapping[str, object]


def as_row(answer: object) -> Row:
    """Return an answer that is an object; raises Refused for one that is not."""
    if not isinstance(answer, dict):
        raise Refused("what answered is no node: its answer has another shape")
    return answer


def as_rows(answer: object) -> Sequence[Row]:
    """Return an answer that is a list of objects; raises Refused for one that is not."""
    if not isinstance(answer, list):
        raise Refused("what answered is no node: its answer has another shape")
    return [as_row(row) for row in answer]


def part(row: Row, name: str) -> Row:
    """Return an object inside an answer; an empty one where it is null."""
    found = row.get(name)
    return {} if found is None else as_row(found)


def parts(row: Row, name: str) -> Sequence[Row]:
    """Return a list of objects inside an answer."""
    return as_rows(row.get(name))


def money(amount: object, asset: Row) -> str | None:
    """Return an amount in whole units with its code, exact; None for none."""
    if amount is None:
        return None
    try:
        number, scale = int(str(amount)), int(str(asset.get("asset_scale")))
    except ValueError:
        return str(amount)
    if not 0 <= scale <= SCALE_MAX:
        return str(amount)
    return f"{format_number(number, scale)} {asset.get('asset_code')}"


def moment(milliseconds: object) -> str | None:
    """Return a moment in UTC, as ISO-8601 has it."""
    if not isinstance(milliseconds, int) or milliseconds <= 0:
        return None
    try:
        found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return found.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def lines(row: Row, name: str) -> Sequence[str]:
    """Return a list of texts inside an answer."""
    found = row.get(name)
    return [str(line) for line in found] if isinstance(found, list) else []
