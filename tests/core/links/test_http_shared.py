"""Packets on a connection that the API has taken over are answered as everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from core.account import AccountDirectory, AccountId
from core.links.http_message import BODY_OCTETS_MAX
from core.links.http_server import IlpEndpoint
from core.links.http_shared import ilp_packets
from core.packet import parse_reply
from core.testing.builders import account, fulfill, prepare
from core.testing.services import FakeIncoming

Client = TestClient[web.Request, web.Application]
PLAIN = {"Content-Type": "application/octet-stream", "Authorization": "Bearer alices"}


@pytest.fixture
def behind() -> FakeIncoming:
    return FakeIncoming()


@pytest.fixture
async def client(behind: FakeIncoming) -> AsyncIterator[Client]:
    directory = AccountDirectory()
    directory.replace([account("alice")], {b"alices": AccountId("id-of-alice")})

    async def api(request: web.Request) -> web.Response:
        return web.Response(text="the API")

    endpoint = IlpEndpoint(directory, str.encode)
    app = web.Application(middlewares=[ilp_packets(endpoint, behind)])
    app.add_routes([web.get("/accounts/alice", api)])
    async with TestClient(TestServer(app)) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/accounts/alice/ilp", "/ilp"])
async def test_a_packet_after_a_call_of_the_api_is_answered(
    path: str, client: Client, behind: FakeIncoming
) -> None:
    async with client.get("/accounts/alice") as response:
        assert await response.text() == "the API"
    async with client.post(path, data=bytes(prepare(7).octets), headers=PLAIN) as response:
        reply = parse_reply(await response.read())

    assert (reply, response.content_type) == (fulfill(), "application/octet-stream")
    (request,) = behind.requests
    assert (request.from_account.username, request.prepare.amount) == ("alice", 7)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": "Bearer wrong"}, bytes(prepare().octets), 401),
        ({"Authorization": ""}, bytes(prepare().octets), 401),
        ({"Content-Type": "text/html"}, bytes(prepare().octets), 415),
        ({}, b"no packet", 400),
        ({}, bytes(BODY_OCTETS_MAX + 1), 413),
    ],
)
async def test_what_is_no_packet_of_ours_is_refused_as_at_the_port(
    headers: dict[str, str], body: bytes, status: int, client: Client, behind: FakeIncoming
) -> None:
    async with client.post("/accounts/alice/ilp", data=body, headers=PLAIN | headers) as answer:
        told = await answer.json(content_type="application/problem+json")

    assert (answer.status, told["status"]) == (status, status)
    assert behind.requests == []
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_a_get_is_not_a_packet(client: Client) -> None:
    async with client.get("/accounts/alice/ilp", headers=PLAIN) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
