"""Peering in one step, as it is typed and as it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPeerForm:
    """What was typed, as text."""

    url: str = ""
    asset_code: str = ""
    asset_scale: str = ""
    our_url: str = ""
    name: str = ""
    username: str = ""
    credit: str = ""
    """What they may owe us, in whole units; empty is nothing."""
    max_packet: str = ""
    """Empty takes any."""
    replace: bool = False
    allow_private: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPeered:
    """What came of it."""

    username: str
    sentence: str
