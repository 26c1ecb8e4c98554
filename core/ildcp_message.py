"""RFC-0031's octets: how a node asks for its address, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from core.account import Asset
from core.errors import PacketError
from core.packet import Address, Prepare, address
from core.packet.address import parse_address
from core.packet.oer import read_octets, write_octets

DESTINATION: Final = "peer.config"
FULFILLMENT: Final = bytes(32)
CONDITION: Final = bytes.fromhex(
    "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
)
"""SHA-256 of 32 zero octets, which anybody can fulfill: an IL-DCP packet moves no money."""
ASSET_CODE_OCTETS_MAX: Final = 64
"""Codes in the field have three to twelve letters; no table shows more than this."""


@final
@dataclass(frozen=True, slots=True)
class IldcpAnswer:
    """What a node is called under its parent, and what the amounts between the two count."""

    address: Address
    asset: Asset

    def encode(self) -> bytes:
        return (
            write_octets(self.address.encode())
            + bytes((self.asset.scale,))
            + write_octets(self.asset.code.encode())
        )

    @classmethod
    def decode(cls, octets: bytes | memoryview) -> IldcpAnswer:
        """Read a fulfillment's data; what follows the code is ignored, as the RFC has it.

        Raises:
            PacketError: it is no answer; says where it went wrong.
        """
        view = memoryview(octets)
        found, at = read_octets(view, 0)
        given = parse_address(found, octet=at - len(found))
        if at >= len(view):
            raise PacketError("the answer ends where the asset's scale is due", octet=at)
        scale = view[at]
        code, end = read_octets(view, at + 1)
        if not 0 < len(code) <= ASSET_CODE_OCTETS_MAX:
            raise PacketError(
                f"the asset's code has {len(code)} octets, and 1 to {ASSET_CODE_OCTETS_MAX} are taken",
                octet=at + 1,
            )
        try:
            text = bytes(code).decode()
        except UnicodeDecodeError:
            raise PacketError("the asset's code is no UTF-8", octet=end - len(code)) from None
        if not text.isprintable() or " " in text:
            raise PacketError("the asset's code cannot be printed", octet=end - len(code))
        return cls(given, Asset(text, scale))


def ildcp_request(*, expires_at_ms: int) -> Prepare:
    """Return the packet that asks a parent who we are."""
    return Prepare.build(
        amount=0,
        expires_at_ms=expires_at_ms,
        condition=CONDITION,
        destination=address(DESTINATION),
    )
