"""What payers have written on the streams of their payments, put together: a message that comes with money.

It is kept in memory while it comes, of the connections that were heard of last; the row of a received
payment has what could be read of it so far.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeAlias, final

from core.account import AccountId
from core.stream.plain_text import plain_text

OCTETS_KEPT: Final = 4_096
"""Of a connection: all that a text as long as any is shown can have. What is behind it is taken, and not kept."""
CONNECTIONS_KEPT: Final = 1_000
"""With at most twice those octets each, 8 MiB: what senders can make a node remember is bounded."""

_Key: TypeAlias = tuple[AccountId, str]


@final
class StreamInbox:
    """The data of each stream, as far as it has come in without a gap."""

    __slots__ = ("_connections",)

    def __init__(self) -> None:
        self._connections: OrderedDict[_Key, _Connection] = OrderedDict()

    def add(
        self, account: AccountId, connection: str, stream: int, offset: int, data: bytes
    ) -> None:
        """Put in what a packet has brought; what came before is not changed by what comes again."""
        key = (account, connection)
        found = self._connections.get(key)
        if found is None:
            found = self._connections[key] = _Connection()
            while len(self._connections) > CONNECTIONS_KEPT:
                self._connections.popitem(last=False)
        self._connections.move_to_end(key)
        found.add(stream, offset, data)

    def text(self, account: AccountId, connection: str) -> str:
        """Return what was written on a connection, stream after stream; empty where nothing is known.

        It is plain text, cut: what is no sign of a text is replaced, so that it can be shown anywhere.
        """
        found = self._connections.get((account, connection))
        return "" if found is None else found.text()


@final
class _Connection:
    """One connection's streams, of which together no more is kept than there is room for."""

    __slots__ = ("_streams", "_text")

    def __init__(self) -> None:
        self._streams: dict[int, _Data] = {}
        self._text: str | None = None

    def add(self, stream: int, offset: int, data: bytes) -> None:
        others = sum(len(other) for name, other in self._streams.items() if name != stream)
        kept = data[: max(0, OCTETS_KEPT - others - offset)]
        if not kept:
            return
        self._streams.setdefault(stream, _Data()).add(offset, kept)
        self._text = None

    def text(self) -> str:
        if self._text is None:
            found = (data.whole() for _, data in sorted(self._streams.items()))
            self._text = plain_text(
                "\n".join(str(octets, "utf-8", "replace") for octets in found if octets)
            )
        return self._text


@final
class _Data:
    """One stream's octets, and which of them have come."""

    __slots__ = ("_come", "_octets")

    def __init__(self) -> None:
        self._octets = bytearray()
        self._come = bytearray()

    def __len__(self) -> int:
        return len(self._octets)

    def add(self, offset: int, data: bytes) -> None:
        end = offset + len(data)
        if end > len(self._octets):
            more = bytes(end - len(self._octets))
            self._octets += more
            self._come += more
        if not any(self._come[offset:end]):
            self._octets[offset:end] = data
        else:
            for at, octet in enumerate(data, offset):
                if not self._come[at]:
                    self._octets[at] = octet
        self._come[offset:end] = b"\1" * len(data)

    def whole(self) -> bytes:
        """Return the octets up to the first that is missing."""
        gap = self._come.find(0)
        return bytes(self._octets if gap < 0 else self._octets[:gap])
