"""The node's own ILP address, which may change while it runs (a parent may give another)."""

from __future__ import annotations

from typing import final

from core.packet import Address, ErrorCode, Reject


@final
class NodeAddress:
    """One holder for all services, so that a change reaches them all at once."""

    __slots__ = ("current",)

    def __init__(self, current: Address) -> None:
        self.current = current

    def reject(self, code: ErrorCode, message: str, data: bytes = b"") -> Reject:
        """Return a Reject that we trigger; the message is a sentence for a person."""
        return Reject.build(code, triggered_by=self.current, message=message, data=data)
