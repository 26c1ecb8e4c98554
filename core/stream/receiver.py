"""RFC-0029, the receiving end: what a packet of a connection asks for, and what is said back.

Nothing is kept of a connection: its keys and terms follow from its token, what it has brought so far
is the books' to say, and its limits are the same for all. So any node with the same secret answers any
of its packets, before and after a restart.

Money comes on streams that the sender opens, with odd numbers. How a packet is split follows from the
shares in it; what the division leaves over goes to the lowest stream, so that all of it is somebody's.
Data is taken as far as a small window, the same for every connection, allows.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, final

from core.account import AccountId, Asset, format_amount
from core.errors import PacketError
from core.packet import ErrorCode, Fulfill, Prepare
from core.service import Receivable
from core.stream.credentials import Connection
from core.stream.frames import (
    UINT_MAX,
    ConnectionAssetDetails,
    ConnectionClose,
    ConnectionDataBlocked,
    ConnectionMaxData,
    ConnectionMaxStreamId,
    ConnectionNewAddress,
    Frame,
    StreamData,
    StreamDataBlocked,
    StreamErrorCode,
    StreamMaxData,
    StreamMaxMoney,
    StreamMoney,
    StreamMoneyBlocked,
    StreamReceipt,
)
from core.stream.packet import PacketType, StreamPacket

STREAM_ID_MAX: Final = 19
"""The sender may open ten streams, as JavaScript's server lets it; more would swell every reply."""
DATA_WINDOW: Final = 16_384
"""How many octets a sender may write behind those that came: JavaScript's write so many before they hear of a window."""
SEQUENCE_MAX: Final = 2**31
"""As many packets may be encrypted with one key and random nonces; then the connection is over."""
TOTALS_KEPT: Final = 10_000
"""Connections whose last totals are at hand for replies that book nothing; those of the books are exact."""
OVER: Final = ConnectionClose(StreamErrorCode.NO_ERROR, "nothing more is asked for")
"""To whoever pays what was paid already, or is over: it never takes anything again, and nobody need wait for that."""
SINGLE_STREAM: Final = 1
"""The stream of money that says of none: there is no other that a receipt could be for."""


@final
@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a packet is not fulfilled, as a Reject says it; `close` ends the connection."""

    code: ErrorCode
    sentence: str
    close: ConnectionClose | None = None


@final
@dataclass(frozen=True, slots=True)
class Heard:
    """A packet of a connection of ours, decrypted."""

    connection: Connection
    asset: Asset
    amount: int
    packet: StreamPacket
    fulfillment: bytes | None
    """None where its sender meant it not to be fulfilled, or where it was changed on the way."""

    @classmethod
    def read(cls, connection: Connection, asset: Asset, prepare: Prepare) -> Heard:
        """Return what a Prepare says to this connection's receiver.

        Raises:
            PacketError: it was not encrypted for this connection, or is no STREAM packet of a Prepare.
        """
        packet = StreamPacket.decode(connection.keys.decrypt(prepare.data))
        if packet.packet_type is not PacketType.PREPARE:
            raise PacketError(
                f"it says that it is a {packet.packet_type.name.title()}, and came in a Prepare",
                octet=1,
            )
        fulfillment = connection.keys.fulfillment(prepare.data)
        fits = hmac.compare_digest(sha256(fulfillment).digest(), prepare.condition)
        return cls(connection, asset, prepare.amount, packet, fulfillment if fits else None)

    @property
    def closes(self) -> bool:
        """Whether the sender says that this is its last packet."""
        return any(isinstance(frame, ConnectionClose) for frame in self.packet.frames)

    def streams(self) -> list[int]:
        """Return the streams that the packet is about, in their order."""
        kinds = (StreamMoney, StreamData, StreamDataBlocked, StreamMaxMoney, StreamMaxData)
        found = {frame.stream_id for frame in self.packet.frames if isinstance(frame, kinds)}
        return sorted(found)

    def split(self) -> tuple[tuple[int, int], ...]:
        """Return how much of the amount belongs to which stream; together it is all."""
        if self.amount == 0:
            return ()
        money = [*self.packet.of(StreamMoney)]
        if len(money) == 1:
            return ((money[0].stream_id, self.amount),)
        shares: dict[int, int] = {}
        for frame in money:
            shares[frame.stream_id] = shares.get(frame.stream_id, 0) + frame.shares
        together = sum(shares.values())
        if together == 0:
            return ((min(shares, default=SINGLE_STREAM), self.amount),)
        parts = {
            stream: self.amount * share // together for stream, share in sorted(shares.items())
        }
        lowest = next(stream for stream in parts if shares[stream])
        parts[lowest] += self.amount - sum(parts.values())
        return tuple((stream, part) for stream, part in parts.items() if part)

    def refusal(self, receivable: Receivable | None, incoming_amount: int) -> Refusal | None:
        """Return why it is not fulfilled, or None where it is.

        `receivable` is how much may still come in, and `incoming_amount` what the packet's sender sent.
        """
        violation = self._violation()
        if violation is not None:
            return Refusal(
                ErrorCode.FINAL_APPLICATION_ERROR, f"{violation.message}.", violation
            )
        if self.fulfillment is None:
            return self._refuse(
                "the receiver cannot derive its condition, as its sender means it where it probes the path"
            )
        if self.amount < self.packet.amount:
            return self._refuse(
                f"its sender asks for at least {self._words(self.packet.amount)}, and "
                f"{self._words(self.amount)} came"
            )
        if receivable is not None and not receivable.takes(incoming_amount, self.amount):
            refusal = self._refuse(
                f"no more than {self._words(receivable.left)} is still asked for, and "
                f"{self._words(self.amount)} came"
            )
            return refusal if receivable.left else replace(refusal, close=OVER)
        return None

    def reject_data(
        self, refusal: Refusal, totals: Mapping[int, int], receivable: int | None
    ) -> bytes:
        """Return what only the sender can read of a Reject: what came, and how much more may come."""
        frames = [*self._reply_frames(totals, receivable)]
        if refusal.close is not None:
            frames.append(refusal.close)
        return self._sealed(PacketType.REJECT, frames)

    def fulfill(
        self, totals: Mapping[int, int], receivable: int | None, *, is_over: bool = False
    ) -> Fulfill:
        """Return the Fulfill of a packet, whose money `totals` has already and `receivable` no more.

        Whoever asks for more room is told where there will never be any: `is_over`.
        """
        assert self.fulfillment is not None
        frames = [*self._reply_frames(totals, receivable), *self._receipts(totals)]
        if is_over and any(self.packet.of(StreamMoneyBlocked)):
            frames.append(OVER)
        return Fulfill.build(self.fulfillment, self._sealed(PacketType.FULFILL, frames))

    def _refuse(self, why: str) -> Refusal:
        # F99 with data is what every sender in the field understands, of a probe too.
        return Refusal(
            ErrorCode.FINAL_APPLICATION_ERROR, f"The packet was not fulfilled: {why}."
        )

    def _violation(self) -> ConnectionClose | None:
        """Return how the connection ends where its sender does what it may not."""
        if self.packet.sequence > SEQUENCE_MAX:
            return ConnectionClose(
                StreamErrorCode.PROTOCOL_VIOLATION,
                f"A connection ends after {SEQUENCE_MAX} packets",
            )
        for stream in self.streams():
            if stream % 2 == 0:
                return ConnectionClose(
                    StreamErrorCode.PROTOCOL_VIOLATION,
                    f"Stream {stream} is not the sender's to open: those have odd numbers",
                )
            if stream > STREAM_ID_MAX:
                return ConnectionClose(
                    StreamErrorCode.STREAM_ID_ERROR,
                    f"Stream {stream} cannot be opened: the highest is {STREAM_ID_MAX}",
                )
        return None

    def _reply_frames(
        self, totals: Mapping[int, int], receivable: int | None
    ) -> Iterator[Frame]:
        ends = self._data_ends()
        wanted = [
            sum(ends.values()),
            *(frame.max_offset for frame in self.packet.of(ConnectionDataBlocked)),
        ]
        yield ConnectionMaxData(min(UINT_MAX, max(wanted) + DATA_WINDOW))
        # Whoever connects says where it is, and learns what our amounts count; the first packet may not say.
        if self.packet.sequence <= 1 or any(self.packet.of(ConnectionNewAddress)):
            yield ConnectionMaxStreamId(STREAM_ID_MAX)
            yield ConnectionAssetDetails(self.asset.code, self.asset.scale)
        for stream in self.streams():
            if stream % 2 == 0 or stream > STREAM_ID_MAX:
                continue
            total = totals.get(stream, 0)
            most = UINT_MAX if receivable is None else min(UINT_MAX, total + receivable)
            yield StreamMaxMoney(stream, most, min(UINT_MAX, total))
            yield StreamMaxData(stream, min(UINT_MAX, ends.get(stream, 0) + DATA_WINDOW))

    def _data_ends(self) -> Mapping[int, int]:
        """Return how far each stream's data comes or would come; what was before this packet is not known here.

        So the window moves on with every packet: whatever is behind what is kept is taken all the same.
        """
        ends: dict[int, int] = {}
        for data in self.packet.of(StreamData):
            end = data.offset + len(data.data)
            ends[data.stream_id] = max(end, ends.get(data.stream_id, 0))
        for blocked in self.packet.of(StreamDataBlocked):
            ends[blocked.stream_id] = max(blocked.max_offset, ends.get(blocked.stream_id, 0))
        return ends

    def _receipts(self, totals: Mapping[int, int]) -> Iterator[Frame]:
        terms = self.connection.terms.receipts
        if terms is not None:
            for stream, _ in self.split():
                yield StreamReceipt(stream, terms.receipt(stream, totals.get(stream, 0)))

    def _sealed(self, kind: PacketType, frames: list[Frame]) -> bytes:
        reply = StreamPacket(self.packet.sequence, kind, self.amount, tuple(frames))
        return self.connection.keys.encrypt(reply.encode())

    def _words(self, amount: int) -> str:
        return format_amount(amount, self.asset)


@final
class RunningTotals:
    """What each connection had brought when this process last booked something of it.

    It is for replies that book nothing, where it is a courtesy: after a restart, or where another
    node was paid, it is too low, and senders keep the highest that they have heard.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[AccountId, str], Mapping[int, int]] = OrderedDict()

    def of(self, account: AccountId, connection: Connection) -> Mapping[int, int]:
        """Return the last known totals of a connection, by stream."""
        return self._known.get((account, connection.id), {})

    def note(
        self, account: AccountId, connection: Connection, totals: Mapping[int, int]
    ) -> None:
        """Keep what the books say; the connection that was paid longest ago is forgotten for one more."""
        key = (account, connection.id)
        self._known[key] = totals
        self._known.move_to_end(key)
        while len(self._known) > TOTALS_KEPT:
            self._known.popitem(last=False)
