"""Rafiki's auto-peering, the asking side: one offer, one answer, and both have an account for the other.

It has no proof in it: whoever knows a node's address can send an offer in its name. So we only ask,
never take: what comes from the answer is checked like what an operator types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, final

from core.account import Asset, Secret
from core.errors import Conflict, PacketError
from core.json_text import NestedTooDeeply, json_text
from core.packet import Address, address, scheme

ANSWER_OCTETS_MAX: Final = 16 * 1024
"""Answers in the field have some 300 octets."""
TEXT_CHARACTERS_MAX: Final = 1_024
NAME_CHARACTERS_MAX: Final = 64
DEPTH_MAX: Final = 8

_WORDS: Final[Mapping[str, str]] = {
    "InvalidIlpConfiguration": "it cannot reach this node as the offer says: check the address and the URL",
    "InvalidPeerIlpConfiguration": "the address or the URL of the offer is not acceptable to it",
    "UnknownAsset": "it does not have this asset with this scale; both must be exactly as there",
    "PeerUnsupportedAsset": "it does not have this asset with this scale; both must be exactly as there",
    "InvalidPeerUrl": "it does not take the URL of this node",
    "InvalidPeeringRequest": "it does not take the offer",
    "LiquidityError": "it could not give the new peer its credit",
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the other side is to know of us."""

    ilp_address: Address
    ilp_url: str
    """Where it posts packets to."""
    asset: Asset
    token: Secret
    """What we shall present to it."""
    max_packet_amount: int | None
    name: str

    def encode(self) -> bytes:
        """Return the body of the request."""
        body: dict[str, object] = {
            "staticIlpAddress": self.ilp_address,
            "ilpConnectorUrl": self.ilp_url,
            "asset": {"code": self.asset.code, "scale": self.asset.scale},
            "httpToken": self.token.reveal(),
            "name": self.name,
        }
        if self.max_packet_amount is not None:
            body["maxPacketAmount"] = self.max_packet_amount
        return json.dumps(body).encode()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What the other side says of itself."""

    ilp_address: Address
    ilp_url: str
    """Where we post packets to."""
    token: Secret
    """What it will present to us."""
    name: str


class PostOffer(Protocol):
    """Sends an offer; whoever implements it does the input and output, within bounds."""

    async def __call__(
        self, url: str, body: bytes, *, allow_private: bool
    ) -> tuple[int, bytes]:
        """Return the status and the body of the answer.

        Raises:
            Conflict: the URL may not be asked, cannot be reached, or answers too much; says which.
        """


def read_acceptance(status: int, octets: bytes) -> Acceptance:
    """Return what an answer says.

    Raises:
        Conflict: it says no, or is no answer; says which.
    """
    body = _object(status, octets)
    if status != 200:
        raise Conflict(f"the other side refused the offer: {_refusal(status, body)}")
    text = _text(body, "staticIlpAddress")
    try:
        found = address(text)
    except PacketError as error:
        raise _useless(f"its staticIlpAddress is none: {error.problem}") from None
    if scheme(found) in {"peer", "self"}:
        raise _useless(f"its staticIlpAddress {found} is for one link only")
    url = _text(body, "ilpConnectorUrl")
    if not url.startswith(("http://", "https://")):
        raise _useless(f"its ilpConnectorUrl {url[:64]!r} is no http:// or https:// URL")
    token = _text(body, "httpToken")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise _useless("its httpToken has characters that a header cannot carry")
    return Acceptance(
        ilp_address=found,
        ilp_url=url,
        token=Secret(token),
        name=_name(body.get("name")),
    )


def _name(value: object) -> str:
    """Return what it calls itself, without what a screen would obey."""
    text = value if isinstance(value, str) else ""
    return "".join(sign for sign in text[:NAME_CHARACTERS_MAX] if sign.isprintable()).strip()


def _object(status: int, octets: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(json_text(octets, depth_max=DEPTH_MAX))
    except (NestedTooDeeply, ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    if status == 200:
        raise _useless("it is no JSON object")
    return {}


def _refusal(status: int, body: Mapping[str, object]) -> str:
    error = body.get("error")
    found: Mapping[str, object] = error if isinstance(error, dict) else {}
    kind, message = found.get("type"), found.get("message")
    if isinstance(kind, str) and kind in _WORDS:
        return f"{_WORDS[kind]} ({kind})"
    if isinstance(message, str) and message:
        return f"it says {message[:200]!r} (HTTP {status})"
    if status == 404:
        return "there is no auto-peering at this URL (HTTP 404)"
    return f"it answered with HTTP {status} and gave no reason"


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise _useless(f"it has no {name}")
    if len(value) > TEXT_CHARACTERS_MAX:
        raise _useless(f"its {name} has more than {TEXT_CHARACTERS_MAX} characters")
    return value


def _useless(why: str) -> Conflict:
    return Conflict(f"the answer of the other side is of no use: {why}")
