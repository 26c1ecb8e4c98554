"""SPSP, as a payer asks for it: who is found, what is said, and what is not."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from core.account import Account, AccountDirectory, AccountId, RoutingRelation
from core.config import Reach
from core.errors import SpspError, StoreUnavailable
from core.links import spsp_server
from core.links.spsp_client import SpspClient
from core.links.spsp_server import (
    ACCOUNT_QUERIES_AT_ONCE,
    ACCOUNT_QUERIES_PER_SECOND,
    CREDENTIALS_MS,
    QUERIES_AT_ONCE,
    QUERIES_PER_SECOND,
    SpspServer,
    asker_of,
)
from core.packet import address
from core.payments.records import Invoice
from core.stream.credentials import StreamCredentials
from core.stream.receipt import ReceiptTerms
from core.stream.spsp import read_spsp
from core.testing.builders import USD, account
from core.testing.clock import START_MS, FakeClock

SPSP: Final = {"Accept": "application/spsp4+json"}
NONCE: Final = base64.b64encode(b"n" * 16).decode()
SECRET: Final = base64.b64encode(b"s" * 32).decode()


class FakeInvoices:
    """Requests for money, by id."""

    def __init__(self) -> None:
        self.kept: dict[str, Invoice] = {}
        self.error: Exception | None = None

    async def invoice(self, invoice_id: str) -> Invoice | None:
        if self.error is not None:
            raise self.error
        return self.kept.get(invoice_id)


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Node:
    """The server on a port, before an API that answers everything else."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.directory = AccountDirectory()
        self.credentials = StreamCredentials(self.clock, b"k" * 32)
        self.invoices = FakeInvoices()
        self.url = ""
        self.server = SpspServer(
            self.directory, self.credentials, self.invoices, self.clock, default_account="bob"
        )
        self.bob = account("bob")
        self.serve(self.bob, account("paused", enabled=False))

    def serve(self, *accounts: Account) -> None:
        self.directory.replace(accounts, {})

    async def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            ClientSession(self.url) as session,
            session.request(method, path, headers=sent) as response,
        ):
            return Answer(response.status, response.headers, await response.read())


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    found = Node()

    async def api(_request: web.Request) -> web.Response:
        return web.Response(text="the API")

    app = web.Application(middlewares=[found.server.middleware()])
    app.router.add_route("*", "/{path:.*}", api)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/.well-known/pay", {}),
        ("/.well-known/pay", SPSP),
        ("/accounts/bob/spsp", {}),
        ("/accounts/BOB/spsp", {"Accept": "application/json"}),
        ("/accounts/%62ob/spsp", {"Accept": "text/html, */*;q=0.1"}),
        ("/accounts/bob/spsp/", {"Accept": "application/*"}),
        ("/bob", SPSP),
        ("/bob/", {"Accept": "application/spsp4+json, application/spsp+json"}),
        ("/Bob", {"Accept": "application/json, application/SPSP4+json;q=0.9"}),
    ],
)
async def test_each_path_to_an_account_says_how_it_is_paid(
    node: Node, path: str, headers: dict[str, str]
) -> None:
    answer = await node.ask(path, **headers)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/spsp4+json"
    found = read_spsp(answer.body)
    connection = node.credentials.find(node.bob.id, node.bob.ilp_address, found.destination)
    assert connection is not None
    assert connection.terms.tag is None
    assert connection.terms.receipts is None
    assert connection.terms.expires_at_ms == START_MS + CREDENTIALS_MS
    assert found.asset == USD
    assert not found.receipts_enabled


async def test_no_two_payers_are_told_the_same_and_nobody_may_keep_it(node: Node) -> None:
    answers = [await node.ask("/accounts/bob/spsp") for _ in range(3)]

    assert len({answer.json["shared_secret"] for answer in answers}) == 3
    assert len({answer.json["destination_account"] for answer in answers}) == 3
    assert answers[0].headers["Cache-Control"] == "no-cache, no-store"


async def test_every_web_page_may_ask(node: Node) -> None:
    answer = await node.ask("/accounts/bob/spsp", Origin="https://blog.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"

    for path in ("/accounts/bob/spsp", "/.well-known/pay", "/bob"):
        before = await node.ask(
            path,
            "OPTIONS",
            Origin="https://blog.example",
            Access_Control_Request_Method="GET",
            Access_Control_Request_Headers="web-monetization-id",
        )
        assert before.status == 204
        assert "web-monetization-id" in before.headers["Access-Control-Allow-Headers"]
        assert "GET" in before.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/bob", "GET", {}),
        ("/bob", "GET", {"Accept": "text/html"}),
        ("/bob", "OPTIONS", {}),
        ("/", "GET", SPSP),
        ("/accounts", "GET", {}),
        ("/accounts/bob", "GET", SPSP),
        ("/accounts/bob/spsp/more", "GET", SPSP),
        ("/accounts/bob/invoices/1", "GET", SPSP),
    ],
)
async def test_everything_else_is_the_apis(
    node: Node, path: str, method: str, headers: dict[str, str]
) -> None:
    assert (await node.ask(path, method, **headers)).body == b"the API"


# --- Receipts


async def test_a_verifiers_terms_come_back_in_the_token(node: Node) -> None:
    answer = await node.ask("/accounts/bob/spsp", Receipt_Nonce=NONCE, Receipt_Secret=SECRET)

    found = read_spsp(answer.body)
    assert found.receipts_enabled
    connection = node.credentials.find(node.bob.id, node.bob.ilp_address, found.destination)
    assert connection is not None
    assert connection.terms.receipts == ReceiptTerms(b"n" * 16, b"s" * 32)


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({"Receipt_Nonce": NONCE}, "come together or not at all"),
        ({"Receipt_Secret": SECRET}, "come together or not at all"),
        ({"Receipt_Nonce": "!", "Receipt_Secret": SECRET}, "written in base64"),
        ({"Receipt_Nonce": SECRET, "Receipt_Secret": SECRET}, "the nonce has 32 octets"),
        ({"Receipt_Nonce": NONCE, "Receipt_Secret": NONCE}, "the secret has 16 octets"),
    ],
)
async def test_half_of_a_verifiers_terms_is_refused(
    node: Node, headers: dict[str, str], sentence: str
) -> None:
    answer = await node.ask("/accounts/bob/spsp", **headers)

    assert answer.status == 400
    assert answer.json["id"] == "InvalidRequestError"
    assert sentence in answer.json["message"]


# --- Errors


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/accounts/carol/spsp", "There is no carol here."),
        ("/accounts/%3Cscript%3E/spsp", "There is no such account here."),
        ("/accounts/%FF%FE/spsp", "There is no such account here."),
        ("/accounts/paused/spsp", "paused takes no payments now."),
        ("/accounts/bob/invoices/none/spsp", "There is no such request for money"),
    ],
)
async def test_a_receiver_that_there_is_not_is_an_error_of_spsp(
    node: Node, path: str, sentence: str
) -> None:
    answer = await node.ask(path)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/spsp4+json"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.json["id"] == "InvalidReceiverError"
    assert answer.json["message"].startswith(sentence)


@pytest.mark.parametrize("relation", [RoutingRelation.PEER, RoutingRelation.PARENT])
async def test_who_has_a_node_of_its_own_is_not_paid_here(
    node: Node, relation: RoutingRelation
) -> None:
    node.serve(account("bob", routing_relation=relation))

    answer = await node.ask("/accounts/bob/spsp")

    assert answer.status == 404
    assert answer.json["message"] == "bob has a node of its own, and is paid there."


async def test_an_address_that_leaves_no_room_for_a_token_is_not_paid(node: Node) -> None:
    node.serve(account("bob", ilp_address=address("test." + "b" * 1010)))

    answer = await node.ask("/accounts/bob/spsp")

    assert answer.status == 404
    assert "too long" in answer.json["message"]


async def test_who_takes_no_spsp_is_told_so(node: Node) -> None:
    answer = await node.ask("/accounts/bob/spsp", Accept="text/html, image/*")

    assert answer.status == 406
    assert answer.json["id"] == "NotAcceptableError"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_is_only_asked_for(node: Node, method: str) -> None:
    answer = await node.ask("/accounts/bob/spsp", method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, OPTIONS"


# --- How often


async def test_who_asks_too_often_waits_and_others_do_not(node: Node) -> None:
    node.serve(node.bob, account("carol"))
    statuses = [
        (await node.ask("/accounts/bob/spsp")).status for _ in range(QUERIES_AT_ONCE + 1)
    ]
    assert statuses == [200] * QUERIES_AT_ONCE + [429]
    assert (await node.ask("/accounts/carol/spsp")).status == 200
    for other in ("9.9.9.9", "2606:4700:1::1"):
        assert (await node.ask("/accounts/bob/spsp", X_Forwarded_For=other)).status == 200

    refused = await node.ask("/accounts/bob/spsp")
    assert refused.json["message"] == "You ask for bob too often; try again in a moment."
    assert refused.headers["Retry-After"] == "1"
    node.clock.advance(seconds=1)
    again = [(await node.ask("/accounts/bob/spsp")).status for _ in range(21)]
    assert again == [200] * QUERIES_PER_SECOND + [429]


async def test_a_network_is_one_asker(node: Node) -> None:
    for host in range(QUERIES_AT_ONCE):
        found = await node.ask("/accounts/bob/spsp", X_Forwarded_For=f"2606:4700:1::{host:x}")
        assert found.status == 200

    refused = await node.ask("/accounts/bob/spsp", X_Forwarded_For="2606:4700:1::ffff:0:0:1")
    assert refused.status == 429
    other = await node.ask("/accounts/bob/spsp", X_Forwarded_For="2606:4700:1:1::1")
    assert other.status == 200


async def test_all_askers_of_an_account_together_have_a_ceiling_far_above(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ACCOUNT_QUERIES_AT_ONCE >= 10 * QUERIES_AT_ONCE
    assert ACCOUNT_QUERIES_PER_SECOND >= 10 * QUERIES_PER_SECOND
    monkeypatch.setattr(node.server._crowds, "_at_once", 3)
    node.serve(node.bob, account("carol"))
    answers = [
        await node.ask("/accounts/bob/spsp", X_Forwarded_For=f"9.9.9.{host}")
        for host in range(4)
    ]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json["message"].startswith("bob is asked for too often")
    assert (await node.ask("/accounts/carol/spsp")).status == 200


async def test_so_many_askers_are_remembered_and_those_of_late_first(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spsp_server, "ASKERS_KEPT", 3)
    for host in range(9):
        await node.ask("/accounts/bob/spsp", X_Forwarded_For=f"9.9.9.{host}")

    kept = [asker for _, asker in node.server._askers._free_at]
    assert kept == ["9.9.9.6/32", "9.9.9.7/32", "9.9.9.8/32"]


@pytest.mark.parametrize(
    ("remote", "told", "asker"),
    [
        ("8.8.8.8", (), "8.8.8.8/32"),
        ("2606:4700:1:2:3:4:5:6", (), "2606:4700:1:2::/64"),
        ("::ffff:8.8.8.8", (), "8.8.8.8/32"),
        # No proxy of ours: whoever asks may write what it will.
        ("8.8.8.8", ("9.9.9.9",), "8.8.8.8/32"),
        ("127.0.0.1", (), "127.0.0.1/32"),
        ("127.0.0.1", ("9.9.9.9",), "9.9.9.9/32"),
        ("::1", ("1.1.1.1, 9.9.9.9",), "9.9.9.9/32"),
        ("10.0.0.7", ("1.1.1.1", "9.9.9.9, 192.168.0.1"), "9.9.9.9/32"),
        ("10.0.0.7", ("1.1.1.1" + ", 10.0.0.1" * 8,), "10.0.0.7/32"),
        ("127.0.0.1", ("unknown, [::1]:80, -",), "127.0.0.1/32"),
        ("fe80::1%eth0", ("2606:4700:1:2:3::",), "2606:4700:1:2::/64"),
        ("", ("9.9.9.9",), ""),
        ("no address", (), ""),
    ],
)
def test_who_asks_is_whoever_the_nearest_proxy_says(
    remote: str, told: tuple[str, ...], asker: str
) -> None:
    headers = CIMultiDict(("X-Forwarded-For", one) for one in told)
    request = make_mocked_request("GET", "/bob", headers=headers).clone(remote=remote)

    assert asker_of(request) == asker


# --- Requests for money


def invoice(**changes: Any) -> Invoice:
    terms: dict[str, Any] = {
        "number": 1,
        "id": "inv-7",
        "account": AccountId("id-of-bob"),
        "amount": 500,
        "received": 20,
        "description": "",
        "created_at_ms": START_MS,
        "expires_at_ms": None,
        "cancelled_at_ms": None,
        "paid_at_ms": None,
    }
    return Invoice(**{**terms, **changes})


async def test_a_request_for_money_is_named_in_its_token(node: Node) -> None:
    node.invoices.kept["inv-7"] = invoice()

    answer = await node.ask("/accounts/bob/invoices/inv-7/spsp")

    assert answer.json["balance"] == {"maximum": "500", "current": "20"}
    found = read_spsp(answer.body)
    connection = node.credentials.find(node.bob.id, node.bob.ilp_address, found.destination)
    assert connection is not None
    assert connection.terms.tag == "inv-7"


async def test_another_accounts_request_for_money_is_not_there(node: Node) -> None:
    node.invoices.kept["inv-7"] = invoice(account=AccountId("id-of-carol"))

    assert (await node.ask("/accounts/bob/invoices/inv-7/spsp")).status == 404


AT: Final = START_MS - 90_000


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        (
            {"paid_at_ms": AT, "received": 500, "expires_at_ms": AT},
            "InvoicePaidError",
            "This request for money was paid in full at {at} UTC.",
        ),
        (
            {"expires_at_ms": AT},
            "InvoiceExpiredError",
            "This request for money expired at {at} UTC.",
        ),
        (
            {"cancelled_at_ms": AT},
            "InvoiceCancelledError",
            "This request for money was cancelled at {at} UTC.",
        ),
    ],
)
async def test_a_request_for_money_that_takes_nothing_more_says_why(
    node: Node, changes: dict[str, Any], kind: str, sentence: str
) -> None:
    node.invoices.kept["inv-7"] = invoice(**changes)
    at = datetime.fromtimestamp(AT / 1000, UTC).isoformat(" ", "seconds")[:19]
    sentence = sentence.format(at=at)

    answer = await node.ask("/accounts/bob/invoices/inv-7/spsp")

    assert answer.status == 410
    assert answer.headers["Content-Type"] == "application/spsp4+json"
    assert answer.json == {"id": kind, "message": sentence}
    with pytest.raises(SpspError, match=re.escape(f"the status 410; it says: {sentence[:-1]}")):
        await SpspClient(lambda: Reach.LOOPBACK).resolve(
            f"{node.url}/accounts/bob/invoices/inv-7/spsp"
        )


async def test_a_store_that_cannot_be_read_is_told_of(node: Node) -> None:
    node.invoices.error = StoreUnavailable("locked")

    answer = await node.ask("/accounts/bob/invoices/inv-7/spsp")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "1"


async def test_our_own_client_understands_it(node: Node) -> None:
    client = SpspClient(lambda: Reach.LOOPBACK)

    found = await client.resolve(f"{node.url}/bob")

    assert node.credentials.find(node.bob.id, node.bob.ilp_address, found.destination)
