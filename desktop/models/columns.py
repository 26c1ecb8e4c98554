"""Columns that several tables have: amounts with their asset, and moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from desktop import formatting
from desktop.models.table import Column

R = TypeVar("R")


def amount_column(
    title: str,
    text: Callable[[R], str],
    value: Callable[[R], Any],
    *,
    width: int,
    gives_way: int = 0,
) -> Column[R]:
    """Return a column of amounts; `value` is what it is sorted by: the asset, and the number in it."""
    return Column(
        title=title, text=text, sort_key=value, right=True, width=width, gives_way=gives_way
    )


def moment_column(
    title: str,
    at_ms: Callable[[R], int],
    *,
    width: int = 104,
    tooltip: Callable[[R], str] | None = None,
) -> Column[R]:
    """Return a column of moments to the minute, with all of it in the tooltip."""
    return Column(
        title=title,
        text=lambda row: formatting.short_moment(at_ms(row)),
        sort_key=at_ms,
        tooltip=tooltip or (lambda row: formatting.moment(at_ms(row))),
        width=width,
    )
