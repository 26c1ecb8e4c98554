"""How large a packet may be on its way: learnt from F08, exactly where it says so, by halving where not."""

from __future__ import annotations

from typing import Final, final

from core.packet import AMOUNT_MAX, read_max_packet_amount_data

EXACT_MAX: Final = 32
"""After so many F08 in a row what they say is not believed any more, and the amount is halved."""


@final
class PathMaximum:
    """The largest amount that every packet may have, and a larger one that is worth a single try."""

    __slots__ = ("_refusals", "_refused", "_trying", "limit", "trial")

    def __init__(self, known: int | None = None) -> None:
        self.limit = AMOUNT_MAX if known is None else known
        self.trial: int | None = None
        """For one packet, where halving may have gone too far."""
        self._refused: int | None = None
        """The smallest amount known to be too large, where nobody said by how much."""
        self._refusals = 0
        self._trying = False

    @property
    def is_met(self) -> bool:
        """Whether the path has said no to an amount, or is known."""
        return self.limit < AMOUNT_MAX

    def tried(self, amount: int) -> None:
        """Take note that a packet of `amount` leaves: a trial is made once."""
        if amount > self.limit:
            self.trial, self._trying = None, True

    def refused(self, amount: int, data: bytes | memoryview) -> None:
        """Take in an F08 for a packet of `amount`; the limit falls below it, to 0 where 1 was too much."""
        self._refusals += 1
        told = read_max_packet_amount_data(data) if self._refusals <= EXACT_MAX else None
        if told is not None:
            received, maximum = told
            # What a hop received is our amount in its own unit; its maximum is in that unit too.
            if received and (largest := amount * maximum // received) < amount:
                self.limit = min(self.limit, largest)
                self.trial = self._refused = None
                self._trying = False
                return
        if self._refused is None or amount < self._refused:
            self._refused = amount
            self._trying = False
        if amount <= self.limit:  # else it was a trial, or sent before we knew better
            self.limit = amount // 2
            self.trial = None

    def passed(self, amount: int) -> None:
        """Take in that a packet of `amount` went through; between it and what was refused there is more to try."""
        self._refusals = 0
        if amount > self.limit:
            self.limit, self._trying = amount, False
        if self._refused is None or self._trying or self.trial is not None:
            return
        gap = self._refused - self.limit
        if gap > max(1, self.limit // 8):  # closer is not worth more rejects
            self.trial = self.limit + gap // 2
