"""A node that answers as Rafiki does, where that differs from others: Rafiki itself needs five services to run.

ILP over HTTP with one content type alone, texts for what is wrong, HTTP 500 for what is no packet, F02
for whatever is under `peer.`, static addresses, no keep-alive towards us; and auto-peering without a proof.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from aiohttp import ClientSession, web

from core.errors import PacketError
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply, address, parse_reply

ADDRESS: Final = address("test.rafiki")
FULFILLMENT: Final = b"rafikirafikirafikirafikirafikira"
CONDITION: Final = sha256(FULFILLMENT).digest()
OCTETS: Final = "application/octet-stream"


@dataclass
class PeerOf:
    """What it has of a peer."""

    ilp_address: str
    url: str
    outgoing_token: str
    incoming_token: str
    asset: Mapping[str, Any]


@dataclass
class RafikiLike:
    """The server; `peers` is its database."""

    assets: tuple[tuple[str, int], ...] = (("USD", 2),)
    peers: list[PeerOf] = field(default_factory=list)
    packets: list[Prepare] = field(default_factory=list)
    offers: list[Mapping[str, Any]] = field(default_factory=list)
    url: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What its acceptance says otherwise than it should."""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/autopeer", self.take_offer)
        app.router.add_post("/ilp", self.take_packet)
        return app

    # --- Auto-peering

    async def take_offer(self, request: web.Request) -> web.Response:
        offer = await request.json()
        self.offers.append(offer)
        asset = (offer["asset"]["code"], offer["asset"]["scale"])
        if asset not in self.assets:
            return _error(404, "Unknown asset", "UnknownAsset")
        if not offer["ilpConnectorUrl"].startswith(("http://", "https://")):
            return _error(400, "Invalid url", "InvalidPeerIlpConfiguration")
        token = f"of-rafiki-for-{len(self.offers)}-{uuid.uuid4()}"
        # A repeated offer replaces what it had: that is what it does.
        self.peers = [p for p in self.peers if p.ilp_address != offer["staticIlpAddress"]]
        self.peers.append(
            PeerOf(
                offer["staticIlpAddress"],
                offer["ilpConnectorUrl"],
                token,
                offer["httpToken"],
                offer["asset"],
            )
        )
        return web.json_response(
            {
                "staticIlpAddress": ADDRESS,
                "ilpConnectorUrl": f"{self.url}/ilp",
                "httpToken": token,
                "name": "Rafiki Money",
                "tenantId": str(uuid.uuid4()),
                **self.answer,
            }
        )

    # --- Packets

    async def take_packet(self, request: web.Request) -> web.Response:
        peer = self._peer(request)
        if peer is None:
            return web.Response(status=401, text="unauthorized")
        if request.headers.get("Content-Type") != OCTETS:
            return web.Response(status=400, text="invalid content type")
        try:
            packet = Prepare(bytearray(await request.read()))
        except PacketError:
            return web.Response(status=500, text="Internal Server Error")
        self.packets.append(packet)
        reply = self._reply(packet)
        return web.Response(body=bytes(reply.octets), content_type=OCTETS)

    def _peer(self, request: web.Request) -> PeerOf | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return next((peer for peer in self.peers if peer.incoming_token == given), None)

    def _reply(self, packet: Prepare) -> Reply:
        if not packet.destination.startswith(f"{ADDRESS}."):
            return Reject.build(
                ErrorCode.UNREACHABLE,
                triggered_by=ADDRESS,
                message="unknown destination account",
            )
        return Fulfill.build(FULFILLMENT)

    async def send(self, packet: Prepare) -> Reply:
        """Post a packet to its one peer, as it does: a connection each."""
        (peer,) = self.peers
        headers = {"Authorization": f"Bearer {peer.outgoing_token}", "Content-Type": OCTETS}
        async with (
            ClientSession() as session,
            session.post(peer.url, data=bytes(packet.octets), headers=headers) as response,
        ):
            assert response.status == 200, await response.text()
            return parse_reply(await response.read())


def _error(status: int, message: str, kind: str) -> web.Response:
    error = {"code": status, "message": message, "type": kind}
    return web.json_response({"error": error}, status=status)
