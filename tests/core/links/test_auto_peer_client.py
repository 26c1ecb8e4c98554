"""An offer is sent once, to a public host, within a time; what else may come back is a sentence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from core.errors import Conflict
from core.links.auto_peer_client import AutoPeerClient
from core.peering.auto_peering import ANSWER_OCTETS_MAX, read_acceptance


class Names(AbstractResolver):
    """Leads every name to these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=0)
            for found in self.addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


class Server:
    def __init__(self) -> None:
        self.offers: list[bytes] = []
        self.answer: Callable[[], web.Response] = lambda: web.json_response({})
        self.seconds = 0.0
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.offers.append(await request.read())
        await asyncio.sleep(self.seconds)
        return self.answer()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server()
    app = web.Application()
    app.router.add_post("/", found.handle)
    async with TestServer(app, host="127.0.0.1") as running:
        found.url = str(running.make_url("/"))
        yield found


async def refusal(client: AutoPeerClient, url: str, *, allow_private: bool = True) -> str:
    with pytest.raises(Conflict) as caught:
        await client(url, b"{}", allow_private=allow_private)
    return str(caught.value)


async def test_an_offer_is_posted_and_the_answer_comes_back(server: Server) -> None:
    status, body = await AutoPeerClient()(server.url, b'{"a": 1}', allow_private=True)

    assert (status, body, server.offers) == (200, b"{}", [b'{"a": 1}'])


async def test_an_answer_that_does_not_come_in_time_is_none(server: Server) -> None:
    server.seconds = 10

    found = await refusal(AutoPeerClient(seconds=0.2), server.url)

    assert "within 0.2 seconds" in found


async def test_an_answer_that_is_too_large_is_none(server: Server) -> None:
    server.answer = lambda: web.Response(body=b"x" * (ANSWER_OCTETS_MAX + 1))

    assert "more than 16384 octets" in await refusal(AutoPeerClient(), server.url)


async def test_a_redirect_is_not_followed_with_the_token(server: Server) -> None:
    server.answer = lambda: web.Response(status=307, headers={"Location": server.url})

    status, body = await AutoPeerClient()(server.url, b"{}", allow_private=True)

    assert len(server.offers) == 1
    with pytest.raises(Conflict, match="HTTP 307"):
        read_acceptance(status, body)


@pytest.mark.parametrize(
    "addresses",
    [("10.0.0.7",), ("169.254.169.254",), ("93.184.216.34", "127.0.0.1"), ("::1",)],
    ids=str,
)
async def test_a_name_that_leads_into_our_own_network_is_not_asked(
    addresses: tuple[str, ...],
) -> None:
    client = AutoPeerClient(names=lambda: Names(*addresses))

    found = await refusal(client, "https://rafiki.example/", allow_private=False)

    assert found.startswith(
        "nothing was sent to https://rafiki.example/: rafiki.example leads to"
    )
    assert "say that private networks are meant" in found


async def test_a_port_that_nobody_listens_on_is_said_so() -> None:
    assert "nobody listens there" in await refusal(AutoPeerClient(), "http://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"[]", "no JSON object"),
        (200, b"\xff", "no JSON object"),
        (200, b"[" * 100_000, "no JSON object"),
        (400, b'{"error": {"type": "InvalidPeerUrl"}}', "does not take the URL of this node"),
        (404, b'{"error": {"code": 404, "type": "UnknownAsset"}}', "exactly as there"),
        (404, b"Not Found", "no auto-peering at this URL"),
        (500, b'{"error": {"message": "out of luck"}}', "out of luck"),
        (503, b"", "HTTP 503 and gave no reason"),
        (400, b'{"error": "no"}', "HTTP 400"),
    ],
)
def test_a_refusal_says_why_as_far_as_the_other_side_does(
    status: int, body: bytes, words: str
) -> None:
    with pytest.raises(Conflict, match=words):
        read_acceptance(status, body)
