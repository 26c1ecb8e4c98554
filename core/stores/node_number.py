"""Under which number this process writes: set when it signs on, read by the books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(slots=True)
class NodeNumber:
    """The one fact that a store's leases and its books share."""

    current: int | None = None
    """None until this process has signed on, and again once it has signed off."""
