"""Who listens for incoming payments, each with a queue that has an end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, final

from core.account import AccountId
from core.errors import Conflict, SlowReader, StoreError
from core.services.incoming_payments import IncomingPayment, Listener
from core.tasks import TaskOwner

log = logging.getLogger(__name__)

QUEUE_MAX: Final = 2_000
"""At 5,000 packets a second a reader may pause for 0.4 s; some 600 kB a reader."""
WATCHERS_MAX: Final = 200
ACCOUNT_WATCHERS_MAX: Final = 20
"""Of one account, so that no user keeps the others out."""
NOTING_MAX: Final = 1_000
"""Connections of which something is being noted at once; of one more it is not, which loses no money."""


class NoteConnection(Protocol):
    """Writes down what is known of a connection beside its money."""

    def __call__(
        self, account: AccountId, connection: str, *, payer_text: str, closes: bool
    ) -> Awaitable[None]: ...


@final
class Watcher:
    """One reader's queue: whoever lets it fill up is told so, and is told nothing more."""

    def __init__(self, account: AccountId | None, queue_max: int) -> None:
        self.account: Final = account
        self._queue_max = queue_max
        self._queue: deque[IncomingPayment] = deque()
        self._wake = asyncio.Event()
        self._is_behind = False
        self._is_closed = False

    def put(self, payment: IncomingPayment) -> None:
        if self._is_behind or self._is_closed:
            return
        if len(self._queue) >= self._queue_max:
            self._is_behind = True
            self._queue.clear()
        else:
            self._queue.append(payment)
        self._wake.set()

    def close(self) -> None:
        """End it once what has queued is read."""
        self._is_closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[IncomingPayment]:
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._is_behind:
                raise SlowReader(
                    f"{self._queue_max} notices were waiting to be read, and no more are kept:"
                    " connect again, and ask for the received payments to see what was missed"
                )
            if self._is_closed:
                return
            self._wake.clear()
            await self._wake.wait()


@final
class Notices(Listener):
    """Hands each notice to whoever listens, and notes in the store what no money's transaction has noted."""

    def __init__(
        self,
        note_connection: NoteConnection,
        *,
        queue_max: int = QUEUE_MAX,
        watchers_max: int = WATCHERS_MAX,
    ) -> None:
        self._note_connection = note_connection
        self._queue_max = queue_max
        self._watchers_max = watchers_max
        self._watchers: dict[Watcher, None] = {}
        self._tasks = TaskOwner("notes of connections", tasks_max=NOTING_MAX)

    @property
    def watched(self) -> int:
        """How many listen."""
        return len(self._watchers)

    def received(self, payment: IncomingPayment) -> None:
        for watcher in self._watchers:
            if watcher.account in (None, payment.to_account):
                watcher.put(payment)
        # What money came with is in its own row already.
        text = payment.payer_text if payment.amount == 0 else ""
        if (payment.closes or text) and not self._tasks.is_full:
            self._tasks.start(self._note(payment, text), name="note a connection")

    @contextmanager
    def watch(self, account: AccountId | None) -> Iterator[Watcher]:
        """Listen from now on, to one account's notices or to all; raises Conflict where too many do."""
        if len(self._watchers) >= self._watchers_max:
            raise Conflict(
                f"{len(self._watchers)} readers listen for incoming payments, and no more may"
            )
        of_account = sum(watcher.account == account for watcher in self._watchers)
        if account is not None and of_account >= ACCOUNT_WATCHERS_MAX:
            raise Conflict(
                f"{of_account} readers listen for this account's payments, and no more may"
            )
        watcher = Watcher(account, self._queue_max)
        self._watchers[watcher] = None
        try:
            yield watcher
        finally:
            del self._watchers[watcher]

    async def finish(self, timeout_seconds: float) -> None:
        """Let every reader go, and write down what is left to write."""
        for watcher in self._watchers:
            watcher.close()
        await self._tasks.finish(timeout_seconds)

    async def _note(self, payment: IncomingPayment, text: str) -> None:
        try:
            await self._note_connection(
                payment.to_account, payment.connection, payer_text=text, closes=payment.closes
            )
        except StoreError as error:
            # Not money: what cannot be written now is not tried again.
            log.info("the end or the text of a connection was not noted: %s", error)
