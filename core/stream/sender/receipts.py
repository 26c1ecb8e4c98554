"""RFC-0039, as the payer sees it: receipts are kept for whoever checks them; the highest total counts."""

from __future__ import annotations

from typing import Final, final

from core.stream.frames import StreamReceipt
from core.stream.packet import StreamPacket

RECEIPT_OCTETS: Final = 58
STREAMS_MAX: Final = 8
"""A payment has one stream; receipts for more than these are not kept."""

_TOTAL: Final = slice(18, 26)


def receipt_total(receipt: bytes) -> int:
    """Return how much the stream has brought so far, as its receipt says."""
    return int.from_bytes(receipt[_TOTAL], "big")


@final
class BestReceipts:
    """The receipt with the highest total of each stream; we have no key to check one with."""

    __slots__ = ("best",)

    def __init__(self) -> None:
        self.best: dict[int, bytes] = {}

    def heard(self, packet: StreamPacket) -> None:
        """Keep what is better than what we have."""
        for frame in packet.of(StreamReceipt):
            best = self.best.get(frame.stream_id)
            if len(frame.receipt) != RECEIPT_OCTETS or (
                best is None and len(self.best) >= STREAMS_MAX
            ):
                continue
            if best is None or best[_TOTAL] < frame.receipt[_TOTAL]:
                self.best[frame.stream_id] = frame.receipt
