"""Under which names others reach this node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeName:
    """One name: what kind of name it is, and what others are given of it."""

    title: str
    text: str
    hint: str
    """What it is good for."""
