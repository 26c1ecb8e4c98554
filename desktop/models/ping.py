"""A ping as it is typed, and what came of it, ready to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

KIND_CHOICES: Final = (
    ("echo", "there and back: they send it back"),
    ("one way", "one way: they keep it"),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PingForm:
    """What was typed, as text."""

    destination: str
    kind: str = "echo"
    count: str = "1"
    amount: str = ""
    """Of each packet, in whole units of `username`'s asset; empty carries nothing, and costs nothing."""
    username: str = ""
    """Whom an amount is charged to."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PingShown:
    """What came of a ping."""

    answered: bool
    """Whether any packet was answered."""
    sentence: str
    facts: Sequence[tuple[str, str]]
    attempts: Sequence[tuple[bool, str]]
    """Each packet: whether it was answered, and how; partly remote text."""
