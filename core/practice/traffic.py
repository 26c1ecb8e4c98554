"""Steady small payments between the practice network's accounts: payer and payee in one process.

It speaks plain ILP over HTTP: a payer posts a Prepare to a node, a payee answers what arrives. Both
know one secret, from which a payment's fulfillment follows, so neither keeps anything.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import final

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from core.clock import Clock
from core.errors import PacketError
from core.packet import ErrorCode, Fulfill, Prepare, Reject, Reply

PACKET_SECONDS = 20
NONCE_OCTETS = 16
CONTENT_TYPE = "application/octet-stream"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One payer's habit: where its packets go in, whom they are for, how much and how often."""

    url: str
    token: str
    destination: str
    amount_min: int
    amount_max: int
    packets_per_second: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@final
class Traffic:
    """Sends along its lanes until it is cancelled, and answers what arrives."""

    def __init__(self, lanes: Sequence[Lane], clock: Clock, *, seed: int) -> None:
        self._lanes = lanes
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - habits, not secrets
        self._secret = secrets.token_bytes(32)

    def app(self) -> web.Application:
        """Return the payee: any path takes a Prepare and is answered with what was bought."""
        app = web.Application(client_max_size=40_000)
        app.router.add_post("/{path:.*}", self._answer)
        return app

    async def run(self) -> None:
        """Send along every lane, each at its own pace."""
        async with (
            ClientSession(timeout=ClientTimeout(total=PACKET_SECONDS)) as session,
            asyncio.TaskGroup() as group,
        ):
            for lane in self._lanes:
                group.create_task(self._pay(session, lane))

    async def _pay(self, session: ClientSession, lane: Lane) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(lane.packets_per_second))
            prepare = self._prepare(lane)
            try:
                async with session.post(
                    lane.url,
                    data=bytes(prepare.octets),
                    headers={
                        "Authorization": f"Bearer {lane.token}",
                        "Content-Type": CONTENT_TYPE,
                    },
                ) as response:
                    await response.read()
            except (ClientError, TimeoutError):
                # A node that restarts is part of practice; the next payment finds it again.
                await asyncio.sleep(1)

    def _prepare(self, lane: Lane) -> Prepare:
        nonce = self._random.randbytes(NONCE_OCTETS)
        return Prepare.build(
            amount=self._random.randint(lane.amount_min, lane.amount_max),
            expires_at_ms=self._clock.now_ms() + PACKET_SECONDS * 1000,
            condition=hashlib.sha256(self._fulfillment(nonce)).digest(),
            destination=lane.destination,
            data=nonce,
        )

    def _fulfillment(self, nonce: bytes) -> bytes:
        return hmac.digest(self._secret, nonce, "sha256")

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            prepare = Prepare(bytearray(await request.read()))
        except PacketError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        reply = self._reply(prepare)
        return web.Response(body=bytes(reply.octets), content_type=CONTENT_TYPE)

    def _reply(self, prepare: Prepare) -> Reply:
        fulfillment = self._fulfillment(bytes(prepare.data[:NONCE_OCTETS]))
        if hashlib.sha256(fulfillment).digest() == prepare.condition:
            return Fulfill.build(fulfillment)
        return Reject.build(
            ErrorCode.WRONG_CONDITION,
            triggered_by=prepare.destination,
            message="this practice payee was not asked for such a payment",
        )
