"""Receivers as a test knows them."""

from __future__ import annotations

from typing import final

from core.errors import SpspError
from core.stream.spsp import SpspDetails


@final
class FakeResolver:
    """Answers what it was told to; `asked` has every question."""

    def __init__(self) -> None:
        self.known: dict[str, SpspDetails] = {}
        self.asked: list[str] = []

    async def resolve(self, receiver: str) -> SpspDetails:
        self.asked.append(receiver)
        details = self.known.get(receiver)
        if details is None:
            raise SpspError(f"{receiver} does not answer")
        return details
