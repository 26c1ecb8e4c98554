"""What payers have written on the streams of their payments, put together: a message that comes with money.

It is kept in memory, of the connections that were heard of last: what is worth more than that is
written on the payment's own rows, which this is not.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeAlias, final

from core.account import AccountId

STREAMS_KEPT: Final = 1_000
"""With at most twice the window each, 8 MiB: what senders can make a node remember is bounded."""

_Key: TypeAlias = tuple[AccountId, str, int]


@final
class StreamInbox:
    """The data of each stream, as far as it has come in without a gap."""

    __slots__ = ("_streams",)

    def __init__(self) -> None:
        self._streams: OrderedDict[_Key, _Data] = OrderedDict()

    def add(
        self, account: AccountId, connection: str, stream: int, offset: int, data: bytes
    ) -> None:
        """Put in what a packet has brought; what came before is not changed by what comes again."""
        key = (account, connection, stream)
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = _Data()
            while len(self._streams) > STREAMS_KEPT:
                self._streams.popitem(last=False)
        self._streams.move_to_end(key)
        found.add(offset, data)

    def text(self, account: AccountId, connection: str) -> str:
        """Return what was written on a connection, stream after stream; empty where nothing is known."""
        found = sorted(
            (stream, data)
            for (owner, name, stream), data in self._streams.items()
            if owner == account and name == connection
        )
        return "\n".join(
            filter(None, (str(data.whole(), "utf-8", "replace") for _, data in found))
        )


@final
class _Data:
    """One stream's octets, and which of them have come."""

    __slots__ = ("_come", "_octets")

    def __init__(self) -> None:
        self._octets = bytearray()
        self._come = bytearray()

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
