"""What the node answered, for people: aligned columns, and nothing in them that moves the cursor."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

CELL_CHARACTERS_MAX: Final = 200
_GAP: Final = "  "


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under their columns' names; numbers stand at the right, a column's unit in its name."""
    if not rows:
        return "none\n"
    cells = [[shown(cell) for cell in row] for row in rows]
    right = [_are_numbers([row[at] for row in rows]) for at in range(len(columns))]
    widths = [
        max(width(column), *(width(row[at]) for row in cells))
        for at, column in enumerate(columns)
    ]
    lines = [_line([column.upper() for column in columns], widths, right)]
    lines += [_line(row, widths, right) for row in cells]
    return "".join(f"{line}\n" for line in lines)


def facts(pairs: Mapping[str, object]) -> str:
    """Return one thing's facts, a line each."""
    longest = max((width(name) for name in pairs), default=0)
    return "".join(
        f"{name}{' ' * (longest - width(name))}{_GAP}{shown(value)}\n"
        for name, value in pairs.items()
    )


def shown(value: object) -> str:
    """Return a value for a cell of the screen, cut where it is long."""
    if value is None or value == "":
        return "-"
    if value is True or value is False:
        return "yes" if value else "no"
    text = visible(value)
    return text if len(text) <= CELL_CHARACTERS_MAX else text[: CELL_CHARACTERS_MAX - 1] + "…"


def visible(text: object) -> str:
    """Return remote text, of whatever length, with what a terminal would obey made visible."""
    return "".join(
        character if unicodedata.category(character)[0] != "C" else "�"
        for character in str(text)
    )


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return sum(
        0
        if unicodedata.combining(character)
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, full, is_right in zip(cells, widths, right, strict=True):
        blanks = " " * (full - width(cell))
        padded.append(blanks + cell if is_right else cell + blanks)
    return _GAP.join(padded).rstrip()


def _are_numbers(values: Sequence[object]) -> bool:
    """Tell a column of numbers: what is not known stands with the others, and alone is no number."""
    known = [value for value in values if value is not None]
    return bool(known) and all(map(_is_number, known))


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    text = str(value).removeprefix("-").split(" ")[0]
    return text.replace(".", "", 1).isdecimal()
