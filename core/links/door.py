"""The way in: whoever connects is let in by turns, so many a second, and what comes beyond waits or is sent away.

A connection costs several times what a packet does until it is known whose it is, and who opens many has nothing to lose.
So the port takes them from the system itself, a few in a turn of the loop, and keeps them until it is their
turn: one in a turn of the loop, and so many a second. The hosts that they come from
take turns, so that one that sends thousands holds up itself and not the others; and where too many
wait, the oldest of the host that has most of them is sent away.

Who turns out to be a peer gets its turn back: only strangers are counted.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Protocol, final

from core.links.strangers import Shares, neighbourhood

log = logging.getLogger(__name__)

_TAKEN_AT_ONCE: Final = 32
"""Connections that are taken from the system in a turn of the loop."""
_PAUSE_SECONDS: Final = 0.005
"""How long none is taken while more come than may come in: it is the system's turn to hold them up."""
_SHORTAGE_SECONDS: Final = 1.0
"""The same after the system had none to give, for want of descriptors or memory."""
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_SECONDS: Final = 0.005
"""How long is waited for turns to come together: a timer for each stranger would cost a third of what it does."""
_RESET: Final = struct.pack("ii", 1, 0)


class Guest(Hashable, Protocol):
    """Who waits at the door."""

    def come_in(self) -> None:
        """It is its turn."""

    def turn_away(self) -> None:
        """Too many wait."""


@final
class Door:
    """Who waits to be let in."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        per_second: float,
        at_once: int,
        waiting_max: int,
    ) -> None:
        """Let nobody in before `open`.

        Args:
            loop: Whose turns they are, and whose clock.
            per_second: Strangers that are let in, at most.
            at_once: And so many after a while in which nobody came.
            waiting_max: Those that wait; one more sends one away.
        """
        self._loop = loop
        self._per_second = per_second
        self._at_once = at_once
        self._waiting_max = waiting_max
        self._waiting: Shares[Guest] = Shares()
        self._turns = float(at_once)
        """How many may come in now."""
        self._counted_at = loop.time()
        self._next: asyncio.Handle | None = None
        self._listeners: list[socket.socket] = []
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        self._let_in: Callable[[socket.socket, str], None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def open(
        self,
        listeners: Sequence[socket.socket],
        backlog: int,
        let_in: Callable[[socket.socket, str], None],
    ) -> None:
        """Take connections from sockets that are bound, which are the door's from now on.

        Raises:
            OSError: they cannot be listened on.
            NotImplementedError: the loop cannot watch a descriptor.
        """
        self._let_in = let_in
        try:
            for listener in listeners:
                listener.settimeout(0)
                listener.listen(backlog)
                self._loop.add_reader(listener, self._take, listener)
                self._listeners.append(listener)
        except (OSError, NotImplementedError):
            self.close()
            for listener in listeners:
                listener.close()
            raise

    def close(self) -> None:
        """Take none any more, and send away whoever waits."""
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None
        while self._waiting:
            self._waiting.take_next().turn_away()

    def wait(self, guest: Guest, origin: str) -> None:
        """Let somebody come in when it is its turn, soon where nobody else waits."""
        self._waiting.take(guest, origin)
        if len(self._waiting) > self._waiting_max:
            crowd = self._waiting.most()
            oldest = next(iter(crowd.holders))
            self._waiting.give_back(oldest, crowd.origin)
            oldest.turn_away()
        if self._next is None:
            self._next = self._loop.call_soon(self._admit)

    def forget(self, guest: Guest, origin: str) -> None:
        """Let somebody wait no more: it has gone."""
        self._waiting.give_back(guest, origin)

    def give_back(self) -> None:
        """Count one less: it was no stranger."""
        self._turns += 1

    def _admit(self) -> None:
        """Let one in, where one may come."""
        self._next = None
        if not self._waiting:
            return
        now = self._loop.time()
        earned = (now - self._counted_at) * self._per_second
        self._turns = min(self._at_once, self._turns + earned)
        self._counted_at = now
        if self._turns < 1:
            self._next = self._loop.call_later(
                max(_REST_SECONDS, (1 - self._turns) / self._per_second), self._admit
            )
            return
        self._turns -= 1
        self._waiting.take_next().come_in()
        if self._waiting and self._next is None:
            self._next = self._loop.call_soon(self._admit)

    # --- What the system has

    def _take(self, listener: socket.socket) -> None:
        """Take a few of those that the system has, and let them wait."""
        assert self._let_in is not None
        is_full = False
        for _ in range(_TAKEN_AT_ONCE):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    raise
                log.error("the port takes no connection for a second: %s", error)  # noqa: TRY400
                self._pause(listener, _SHORTAGE_SECONDS)
                return
            connection.settimeout(0)
            origin = neighbourhood(str(peer[0])) if peer else ""
            is_full = is_full or len(self._waiting) >= self._waiting_max
            self.wait(_Caller(connection, origin, self._let_in), origin)
        if is_full or self._turns < 1:
            # Whoever comes has to wait anyhow: a look at each would cost a third of what it does.
            self._pause(listener, _PAUSE_SECONDS)

    def _pause(self, listener: socket.socket, seconds: float) -> None:
        if listener not in self._pauses:
            self._loop.remove_reader(listener)
            self._pauses[listener] = self._loop.call_later(seconds, self._go_on, listener)

    def _go_on(self, listener: socket.socket) -> None:
        del self._pauses[listener]
        self._loop.add_reader(listener, self._take, listener)


@final
class _Caller:
    """A connection that nothing has been read of."""

    __slots__ = ("_connection", "_let_in", "_origin")

    def __init__(
        self,
        connection: socket.socket,
        origin: str,
        let_in: Callable[[socket.socket, str], None],
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._let_in = let_in

    def come_in(self) -> None:
        self._let_in(self._connection, self._origin)

    def turn_away(self) -> None:
        # With a reset, of which the system keeps nothing.
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._connection.close()
