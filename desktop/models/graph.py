"""What a graph shows: curves, lines and marks, ready to draw; numbers for the eye, not for the books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

RANGES: Final = (
    ("1 m", 60),
    ("5 m", 300),
    ("15 m", 900),
    ("1 h", 3_600),
    ("6 h", 21_600),
    ("24 h", 86_400),
    ("7 d", 604_800),
    ("30 d", 2_592_000),
)
"""What the range buttons offer, in words and seconds."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A named line; x in Unix seconds, rising, y in the graph's unit."""

    name: str
    colour: str
    """A field of Colours, or `series:3`."""
    x: Sequence[float]
    y: Sequence[float]
    latest: str = ""
    """Its newest value in words, for the legend."""
    stepped: bool = False
    """It keeps its value until the next point, as a balance does."""


@final
@dataclass(frozen=True, slots=True)
class Line:
    """A limit: a horizontal line with a word at its end."""

    name: str
    colour: str
    y: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened: a point with a text."""

    at_s: float
    y: float
    text: str
    colour: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GraphData:
    """One graph, whole."""

    from_s: float
    until_s: float
    curves: Sequence[Curve] = ()
    lines: Sequence[Line] = ()
    marks: Sequence[Mark] = ()
    from_zero: bool = True
    """The y axis begins at zero; a balance's does not."""
    summary: str = ""
    """What it shows, for who cannot see it."""

    @property
    def is_empty(self) -> bool:
        return not any(curve.x for curve in self.curves)
