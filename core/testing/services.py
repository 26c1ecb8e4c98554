"""What stands behind a service under test: it notes what it is handed, and answers as it was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, final

from core.account import Account
from core.packet import Reject, Reply
from core.service import Explanation, IncomingRequest, OutgoingRequest, Step, Verdict
from core.testing.builders import fulfill

Answer: TypeAlias = Callable[[OutgoingRequest[Account]], Awaitable[Reply] | Reply]


@final
class FakeIncoming:
    """An incoming service that answers `reply`, or raises it."""

    def __init__(self, reply: Reply | Exception | None = None) -> None:
        self.reply = fulfill() if reply is None else reply
        self.requests: list[IncomingRequest[Account]] = []

    async def handle(self, request: IncomingRequest[Account]) -> Reply:
        self.requests.append(request)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def explain(self, request: IncomingRequest[Account]) -> Explanation:
        if isinstance(self.reply, Exception):
            raise self.reply
        return (_step(self.reply),)


@final
class FakeOutgoing:
    """An outgoing service, or a link: it answers `reply`, raises it, or asks `answer`."""

    def __init__(
        self, reply: Reply | Exception | None = None, answer: Answer | None = None
    ) -> None:
        self.reply = fulfill() if reply is None else reply
        self.answer = answer
        self.requests: list[OutgoingRequest[Account]] = []
        self.closed = False

    async def send(self, request: OutgoingRequest[Account]) -> Reply:
        self.requests.append(request)
        if self.answer is not None:
            answered = self.answer(request)
            return await answered if isinstance(answered, Awaitable) else answered
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    async def explain(self, request: OutgoingRequest[Account]) -> Explanation:
        if isinstance(self.reply, Exception):
            raise self.reply
        return (_step(self.reply),)

    async def close(self) -> None:
        self.closed = True


def _step(reply: Reply) -> Step:
    if isinstance(reply, Reject):
        return Step("fake", Verdict.REJECTS, reply.message, reply)
    return Step("fake", Verdict.SENDS, "the packet leaves here")
