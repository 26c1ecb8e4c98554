"""Payments between two of our nodes, by the API, the WebSockets and the command line; nodes are killed meanwhile."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import random
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession, WSCloseCode, WSMsgType

from core.cli.__main__ import run as signalbox_cli
from core.host import NodeHost
from core.payments.notices import QUEUE_MAX
from core.payments.store import ReceivedFilter
from core.services.incoming_payments import IncomingPayment
from tests.end_to_end.test_kill import Nursery
from tests.end_to_end.two_nodes import (
    ADMIN,
    ALICE,
    BETWEEN,
    BOB,
    ENDED,
    Api,
    TwoNodes,
    booked,
    config,
    details,
)

KILLS: Final = int(os.environ.get("SIGNALBOX_PAYMENT_KILLS", "12"))
RECEIVER_KILLS: Final = 4


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    async with TwoNodes.start(tmp_path) as started:
        yield started


@pytest.fixture
async def slow_nodes(tmp_path: Path) -> AsyncIterator[TwoNodes]:
    """Two nodes between which a packet carries a thousand and no more: payments take their time."""
    async with TwoNodes.start(tmp_path, largest=1_000) as started:
        yield started


# --- Paying ------------------------------------------------------------------------------------------


async def test_interledger_rss_call_pays_and_answers_as_it_does(nodes: TwoNodes) -> None:
    order = {"receiver": nodes.bob, "source_amount": 5_000_000, "slippage": 0.015}

    status, answer = await nodes.alpha.call(
        "POST", "/accounts/alice/payments", order, token=ALICE
    )

    assert status == 200, answer
    payment = answer.pop("payment")
    assert answer.pop("to").startswith("test.beta.bob.")
    assert answer == {
        "from": "test.alpha.alice",
        "source_asset_code": "USD",
        "source_asset_scale": 6,
        "source_amount": 5_000_000,
        "sent_amount": 5_000_000,
        "in_flight_amount": 0,
        "delivered_amount": 5_000_000,
        "destination_asset_code": "USD",
        "destination_asset_scale": 6,
    }
    assert nodes.booked(payment) == 5_000_000
    balance = await nodes.beta.get("/accounts/bob/balance")
    assert balance["payable"] == "5000000"
    await nodes.audit()


async def test_a_quote_says_what_comes_and_moves_no_money(nodes: TwoNodes) -> None:
    order = {"receiver": nodes.bob, "delivered_amount": "2500000"}

    status, quote = await nodes.alpha.call("POST", "/accounts/alice/payments/quote", order)

    assert status == 200, quote
    assert quote["rate"] == "1"
    assert quote["delivered_amount_min"] == "2500000"
    assert 2_500_000 <= int(quote["source_amount"]) <= 2_540_000
    assert quote["fees"] == "0"
    assert quote["problems"] == []
    assert (await nodes.alpha.get("/accounts/alice/balance"))["net"] == "0"
    assert (await nodes.alpha.get("/payments"))["payments"] == []
    assert (await nodes.beta.get("/payments/received"))["received"] == []


async def test_a_quote_says_what_the_spread_costs_and_what_the_account_lacks(
    tmp_path: Path,
) -> None:
    async with TwoNodes.start(tmp_path, min_balance=-1_000) as nodes:
        await nodes.paying.control.set_spread(Fraction(1, 100))
        order = {"receiver": nodes.bob, "source_amount": "1000"}
        _, quote = await nodes.alpha.call("POST", "/accounts/alice/payments/quote", order)
        assert quote["fees"] == "1/100"
        assert quote["available"] == "1000"
        order = {"receiver": nodes.bob, "source_amount": "1001"}
        _, quote = await nodes.alpha.call("POST", "/accounts/alice/payments/quote", order)
        (problem,) = quote["problems"]
        assert "has 0.001 USD left to send" in problem, problem


async def test_a_fixed_amount_is_delivered_to_the_unit(slow_nodes: TwoNodes) -> None:
    begun = await slow_nodes.alpha.begin(receiver=slow_nodes.bob, delivered_amount="123457")

    payment = await slow_nodes.alpha.ended(begun)

    assert (payment["state"], payment["delivered"]) == ("completed", "123457"), payment
    assert payment["packets"] >= 124
    assert int(payment["sent"]) == slow_nodes.booked(payment["id"])
    assert await slow_nodes.received(payment["destination"]) == 123_457
    assert payment["delivered_exact"] is True
    await slow_nodes.audit()


async def test_a_payment_crosses_three_nodes_and_two_currencies(nodes: TwoNodes) -> None:
    """Dollars in micro from the first, through the second, which converts, to euros in nano at a third."""
    third = await NodeHost.start(config("gamma", f"sqlite:///{nodes.folder}/gamma.db"))
    try:
        await third.control.create_account(
            details(
                "beta",
                asset_code="EUR",
                asset_scale=9,
                ilp_over_http_incoming_token=BETWEEN,
                routing_relation="Peer",
                ilp_address="test.beta",
                max_packet_amount=700_000_000,
            )
        )
        await third.control.create_account(details("eve", asset_code="EUR", asset_scale=9))
        await nodes.paid.control.create_account(
            details(
                "gamma",
                asset_code="EUR",
                asset_scale=9,
                ilp_over_http_url=f"{third.url}/accounts/beta/ilp",
                ilp_over_http_outgoing_token=BETWEEN,
                routing_relation="Peer",
                ilp_address="test.gamma",
            )
        )
        prices = {"USD": Decimal(1), "EUR": Decimal("1.25")}
        for host in (nodes.paying, nodes.paid):
            await host.control.set_rates(prices)
        await nodes.paid.control.set_spread(Fraction(1, 200))
        await nodes.paying.control.set_route("test.gamma", "beta")
        eve = f"{third.url}/accounts/eve/spsp"
        order = {"receiver": eve, "source_amount": "3000000"}
        _, quote = await nodes.alpha.call("POST", "/accounts/alice/payments/quote", order)
        payment = await nodes.alpha.ended(await nodes.alpha.begin(**order))

        assert payment["state"] == "completed", payment
        assert payment["sent"] == "3000000"
        assert payment["receiver_asset"] == {"asset_code": "EUR", "asset_scale": 9}
        # Three dollars at 0.8 euros each, less half a percent; each packet's fraction stays on the way.
        exact = 3 * 8 * 10**8 * Fraction(199, 200)
        assert exact - int(payment["packets"]) <= int(payment["delivered"]) <= exact
        assert int(payment["packets"]) >= 4
        assert int(quote["delivered_amount_min"]) <= int(payment["delivered"])
        assert abs(Fraction(quote["fees"]) - Fraction(1, 200)) < Fraction(1, 1_000_000)
        (row,) = (await Api(nodes.alpha.session, third.url).get("/payments/received"))[
            "received"
        ]
        assert row["received"] == payment["delivered"]
        await nodes.audit()
    finally:
        await third.stop()


async def test_a_payment_that_cannot_be_says_who_said_no_and_why(nodes: TwoNodes) -> None:
    nobody = f"{nodes.paid.url}/accounts/nobody/spsp"

    status, answer = await nodes.alpha.call(
        "POST", "/accounts/alice/payments", {"receiver": nobody, "source_amount": 5}
    )

    assert status == 422, answer
    assert "There is no nobody here" in answer["detail"]
    assert answer["payment"]["state"] == "failed"
    assert answer["payment"]["sent"] == "0"
    status, answer = await nodes.alpha.call(
        "POST", "/accounts/alice/payments/quote", {"receiver": nobody, "source_amount": 5}
    )
    assert status == 422, answer


async def test_an_order_above_the_accounts_credit_is_refused_at_once_and_names_it(
    tmp_path: Path,
) -> None:
    async with TwoNodes.start(tmp_path, min_balance=-5_500) as nodes:
        async with asyncio.timeout(10):
            status, answer = await nodes.alpha.call(
                "POST",
                "/accounts/alice/payments",
                {"receiver": nodes.bob, "source_amount": 20_000},
            )

        assert status == 422
        assert (
            "alice has 0.0055 USD left to send, and the payment needs 0.02 USD."
            in (answer["detail"])
        )
        assert (await nodes.alpha.get("/accounts/alice/balance"))["net"] == "0"
        order = {"receiver": nodes.bob, "delivered_amount": 5_500}
        assert (await nodes.alpha.call("POST", "/accounts/alice/payments", order))[0] == 200
        _, answer = await nodes.alpha.call("POST", "/accounts/alice/payments/quote", order)
        assert "has 0.00 USD left to send" in answer["detail"]


async def test_an_account_that_runs_out_on_the_way_ends_the_payment_and_keeps_what_was_sent(
    tmp_path: Path,
) -> None:
    async with TwoNodes.start(tmp_path, largest=1_000, min_balance=-50_000_000) as nodes:
        begun = await nodes.alpha.begin(receiver=nodes.bob, source_amount=50_000_000)
        await nodes.alpha.once_sent(begun, 5_000)
        await nodes.paying.control.correct_balance("alice", -49_000_000, "spent elsewhere")
        async with asyncio.timeout(20):
            payment = await nodes.alpha.ended(begun)

        assert payment["state"] == "failed"
        assert "alice has " in payment["reason"]
        assert "left to send, what is under way included" in payment["reason"]
        assert (payment["reject_code"], payment["triggered_by"]) == ("T04", "test.alpha")
        assert 5_000 <= int(payment["sent"]) <= 1_000_000
        assert nodes.booked(payment["id"]) == int(payment["sent"])
        balance = await nodes.alpha.get("/accounts/alice/balance")
        assert balance["net"] == f"-{49_000_000 + int(payment['sent'])}"


# --- One key, one payment ----------------------------------------------------------------------------


async def test_of_many_orders_with_one_key_one_payment_is_made(nodes: TwoNodes) -> None:
    order = {"receiver": nodes.bob, "source_amount": 700}
    headers = {"Idempotency-Key": "order 7"}

    answers = await asyncio.gather(
        *(
            nodes.alpha.call("POST", "/accounts/alice/payments", order, headers=headers)
            for _ in range(12)
        )
    )

    assert {status for status, _ in answers} == {200}
    assert all(answer == answers[0][1] for _, answer in answers)
    assert len((await nodes.alpha.get("/payments"))["payments"]) == 1
    assert (await nodes.beta.get("/accounts/bob/balance"))["payable"] == "700"
    later = await nodes.alpha.call("POST", "/accounts/alice/payments", order, headers=headers)
    assert later == answers[0]
    other = {**order, "source_amount": 701}
    status, answer = await nodes.alpha.call(
        "POST", "/accounts/alice/payments", other, headers=headers
    )
    assert status == 409, answer
    assert "was used for another order" in answer["detail"]


# --- Cancelling --------------------------------------------------------------------------------------


async def test_a_cancelled_payment_sends_nothing_more_and_says_what_it_sent(
    slow_nodes: TwoNodes,
) -> None:
    begun = await slow_nodes.alpha.begin(receiver=slow_nodes.bob, source_amount=50_000_000)
    found = await slow_nodes.alpha.once_sent(begun, 1)

    status, answer = await slow_nodes.alpha.call("POST", f"/payments/{found['id']}/cancel")
    assert status == 200
    assert answer["cancel_requested"] is True
    payment = await slow_nodes.alpha.ended(answer)

    assert payment["state"] == "cancelled", payment
    sent = int(payment["sent"])
    assert 0 < sent < 50_000_000
    assert payment["in_flight"] == "0"
    assert payment["delivered_exact"] is True
    assert int(payment["delivered"]) == sent
    assert slow_nodes.booked(payment["id"]) == sent
    assert await slow_nodes.received(payment["destination"]) == sent
    await asyncio.sleep(0.3)
    assert slow_nodes.booked(payment["id"]) == sent
    status, answer = await slow_nodes.alpha.call("POST", f"/payments/{found['id']}/cancel")
    assert status == 409, answer
    await slow_nodes.audit()


async def test_a_node_that_stops_ends_its_payments_first(slow_nodes: TwoNodes) -> None:
    begun = await slow_nodes.alpha.begin(receiver=slow_nodes.bob, source_amount=50_000_000)
    await slow_nodes.alpha.once_sent(begun, 1)
    waiting = asyncio.gather(slow_nodes.alpha.ended(begun), return_exceptions=True)

    await slow_nodes.paying.stop()
    slow_nodes.stopped.append(slow_nodes.paying)
    await waiting

    again = await NodeHost.start(config("alpha", f"sqlite:///{slow_nodes.folder}/alpha.db"))
    try:
        api = Api(slow_nodes.alpha.session, again.url)
        payment = await api.get(f"/payments/{begun['id']}")
        assert payment["state"] == "interrupted", payment
        assert "was stopped" in payment["reason"]
        assert payment["undecided"] == "0"
        assert int(payment["sent"]) == slow_nodes.booked(begun["id"])
        assert await slow_nodes.received(payment["destination"]) == int(payment["sent"])
    finally:
        await again.stop()


# --- Being paid --------------------------------------------------------------------------------------


async def test_an_invoice_is_paid_once_and_takes_no_more(nodes: TwoNodes) -> None:
    status, invoice = await nodes.beta.call(
        "POST",
        "/accounts/bob/invoices",
        {"amount": "2500", "description": "two coffees", "expires_in_seconds": 600},
        token=BOB,
    )
    assert status == 201, invoice
    assert (invoice["state"], invoice["received"]) == ("open", "0")
    assert invoice["payment_pointer"] is None
    first = await nodes.alpha.ended(
        await nodes.alpha.begin(receiver=invoice["url"], delivered_amount="1000")
    )
    assert first["state"] == "completed"
    too_much = await nodes.alpha.ended(
        await nodes.alpha.begin(receiver=invoice["url"], delivered_amount="1540")
    )
    assert too_much["state"] == "failed", too_much
    left = 1_500 - int(too_much["delivered"])
    if left:
        last = await nodes.alpha.ended(
            await nodes.alpha.begin(receiver=invoice["url"], delivered_amount=str(left))
        )
        assert last["state"] == "completed", last

    paid = await nodes.beta.get(f"/invoices/{invoice['id']}", token=BOB)
    assert (paid["state"], paid["received"]) == ("paid", "2500")
    rows = await nodes.beta.get(f"/payments/received?invoice={invoice['id']}")
    assert sum(int(row["received"]) for row in rows["received"]) == 2_500
    again = await nodes.alpha.ended(
        await nodes.alpha.begin(receiver=invoice["url"], source_amount="10")
    )
    assert again["state"] == "failed"
    assert (
        "status 410; it says: This request for money was paid in full at 2" in again["reason"]
    )
    await nodes.audit()


async def test_a_cancelled_invoice_takes_nothing(nodes: TwoNodes) -> None:
    _, invoice = await nodes.beta.call("POST", "/accounts/bob/invoices", {"amount": 10})
    status, cancelled = await nodes.beta.call("POST", f"/invoices/{invoice['id']}/cancel")
    assert (status, cancelled["state"]) == (200, "cancelled")
    status, _ = await nodes.beta.call("POST", f"/invoices/{invoice['id']}/cancel")
    assert status == 409
    payment = await nodes.alpha.ended(
        await nodes.alpha.begin(receiver=invoice["url"], source_amount=10)
    )
    assert payment["state"] == "failed"
    assert (await nodes.beta.get("/payments/received"))["received"] == []


async def test_web_sockets_tell_each_packet_as_interledger_rs_does(
    slow_nodes: TwoNodes,
) -> None:
    async with ClientSession() as session:
        url, mine = slow_nodes.paid.url, {"Authorization": f"Bearer {BOB}"}
        everybodys = {"Authorization": f"Bearer {ADMIN}"}
        bobs = await session.ws_connect(f"{url}/accounts/bob/payments/incoming", headers=mine)
        alls = await session.ws_connect(f"{url}/payments/incoming", headers=everybodys)
        begun = await slow_nodes.alpha.begin(receiver=slow_nodes.bob, source_amount=3_500)
        payment = await slow_nodes.alpha.ended(begun)
        heard: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while not heard or not heard[-1]["connection_closed"]:
                heard.append(await bobs.receive_json())
                assert (await alls.receive_json()) == {"Ok": heard[-1]}

        assert sum(notice["amount"] for notice in heard) == 3_500
        assert len(heard) >= 5
        for notice in heard:
            assert notice["to_username"] == "bob"
            assert notice["from_username"] == "alpha"
            assert notice["destination"] == payment["destination"]
            assert notice["timestamp"].endswith("+00:00")
        assert max(int(notice["received"] or 0) for notice in heard) == 3_500
        assert heard[-1]["amount"] == 0
        # That it is closed is told first, and then written down.
        closed = False
        async with asyncio.timeout(10):
            while not closed:
                (row,) = (await slow_nodes.beta.get("/payments/received"))["received"]
                closed = row["closed"]

        await slow_nodes.paid.stop()
        slow_nodes.stopped.append(slow_nodes.paid)
        async with asyncio.timeout(5):
            last = await alls.receive()
        assert last.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED}


async def test_a_reader_that_is_too_slow_is_told_so_and_let_go(nodes: TwoNodes) -> None:
    url, mine = nodes.paid.url, {"Authorization": f"Bearer {ADMIN}"}
    async with ClientSession() as session:
        bobs = await session.ws_connect(f"{url}/accounts/bob/payments/incoming", headers=mine)
        alls = await session.ws_connect(f"{url}/payments/incoming", headers=mine)
        await nodes.beta.get("/status")  # both are heard of by now
        bob = nodes.paid.node.directory.by_username("bob")
        alpha = nodes.paid.node.directory.by_username("alpha")
        assert bob is not None
        assert alpha is not None
        for sequence in range(QUEUE_MAX + 1):
            nodes.paid.node.notices.received(
                IncomingPayment(
                    to_account=bob.id,
                    from_account=alpha.id,
                    destination="test.beta.bob.t",
                    amount=1,
                    at_ms=0,
                    connection="c",
                    sequence=sequence,
                    invoice=None,
                    closes=False,
                    received=1,
                )
            )

        async with asyncio.timeout(5):
            told = await alls.receive_json()
            assert list(told) == ["Err"]
            assert "2000 notices were waiting" in told["Err"]
            for socket in (alls, bobs):
                assert (await socket.receive()).type is WSMsgType.CLOSE
                assert socket.close_code == WSCloseCode.TRY_AGAIN_LATER


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/accounts/bob/payments/incoming", ALICE),
        ("/payments/incoming", BOB),
        ("/payments", BOB),
        ("/payments/received", BOB),
        ("/invoices", BOB),
        ("/accounts/bob/payments", "wrong"),
        ("/accounts/bob/invoices", "wrong"),
        ("/payments/0", "wrong"),
        ("/invoices/0", "wrong"),
    ],
)
async def test_who_has_no_right_learns_nothing(nodes: TwoNodes, path: str, token: str) -> None:
    status, answer = await nodes.beta.call("GET", path, token=token)
    assert status == 401, answer


async def test_a_user_sees_its_own_and_no_other(nodes: TwoNodes) -> None:
    begun = await nodes.alpha.begin(receiver=nodes.bob, source_amount=10)
    await nodes.alpha.ended(begun)
    assert (await nodes.alpha.get(f"/payments/{begun['id']}", token=ALICE))["sent"] == "10"
    listed = await nodes.alpha.get("/accounts/alice/payments", token=ALICE)
    assert [row["id"] for row in listed["payments"]] == [begun["id"]]

    _, invoice = await nodes.beta.call("POST", "/accounts/bob/invoices", {"amount": 10})
    await nodes.paid.control.create_account(
        details("carol", ilp_over_http_incoming_token="carols-own-token")
    )
    for method, path in (
        ("GET", f"/invoices/{invoice['id']}"),
        ("POST", f"/invoices/{invoice['id']}/cancel"),
    ):
        status, answer = await nodes.beta.call(method, path, token="carols-own-token")
        assert status == 404, answer


# --- Lists and CSV -----------------------------------------------------------------------------------


async def test_history_is_paged_filtered_and_exported(nodes: TwoNodes) -> None:
    made = [
        await nodes.alpha.ended(
            await nodes.alpha.begin(
                receiver=nodes.bob, source_amount=at, memo=f"=cmd({at})", key=f"k{at}"
            )
        )
        for at in (1, 2, 3)
    ]

    first = await nodes.alpha.get("/payments?limit=2")
    second = await nodes.alpha.get(f"/payments?limit=2&before={first['next']}")
    found = await nodes.alpha.get("/payments?text=cmd(2)&state=completed&username=alice")

    assert [row["id"] for row in first["payments"]] == [made[2]["id"], made[1]["id"]]
    assert [row["id"] for row in second["payments"]] == [made[0]["id"]]
    assert second["next"] is None
    assert [row["id"] for row in found["payments"]] == [made[1]["id"]]
    text = await nodes.alpha.get("/payments?format=csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["id"] for line in lines] == [row["id"] for row in reversed(made)]
    assert lines[0]["sent"] == "0.000003"
    assert lines[0]["sent_smallest_unit"] == "3"
    assert lines[0]["memo"] == "'=cmd(3)"
    received = await nodes.beta.get("/payments/received", headers={"Accept": "text/csv"})
    assert [line["received"] for line in csv.DictReader(io.StringIO(received))] == [
        "0.000003", "0.000002", "0.000001",
    ]  # fmt: skip
    empty = await nodes.alpha.get("/invoices?format=csv")
    assert empty.startswith("id,created,")


# --- What cannot be ----------------------------------------------------------------------------------

_BAD: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "no receiver": ({"source_amount": 1}, "receiver"),
    "a receiver that is none": ({"receiver": "bob", "source_amount": 1}, "receiver"),
    "a receiver that is no text": ({"receiver": 7, "source_amount": 1}, "receiver"),
    "no amount": ({"receiver": "$b.example"}, "source_amount"),
    "two amounts": (
        {"receiver": "$b.example", "source_amount": 1, "delivered_amount": 1},
        "source_amount",
    ),
    "nothing": ({"receiver": "$b.example", "source_amount": 0}, "source_amount"),
    "less than nothing": ({"receiver": "$b.example", "source_amount": -1}, "source_amount"),
    "a part of a unit": ({"receiver": "$b.example", "source_amount": 1.5}, "source_amount"),
    "more than the books carry": (
        {"receiver": "$b.example", "source_amount": 2**63},
        "source_amount",
    ),
    "more than a packet carries": (
        {"receiver": "$b.example", "delivered_amount": 2**64},
        "delivered_amount",
    ),
    "a bound without use": (
        {"receiver": "$b.example", "source_amount": 1, "source_amount_max": 1},
        "source_amount_max",
    ),
    "all for nothing": (
        {"receiver": "$b.example", "source_amount": 1, "slippage": 1},
        "slippage",
    ),
    "slippage below nothing": (
        {"receiver": "$b.example", "source_amount": 1, "slippage": "-0.1"},
        "slippage",
    ),
    "slippage with no end": (
        {"receiver": "$b.example", "source_amount": 1, "slippage": "1e-9999"},
        "slippage",
    ),
    "slippage that is no number": (
        {"receiver": "$b.example", "source_amount": 1, "slippage": "NaN"},
        "slippage",
    ),
    "a memo of two lines": (
        {"receiver": "$b.example", "source_amount": 1, "memo": "a\nb"},
        "memo",
    ),
    "a long memo": ({"receiver": "$b.example", "source_amount": 1, "memo": "x" * 501}, "memo"),
    "a field that is none": (
        {"receiver": "$b.example", "source_amount": 1, "source_ammount": 1},
        "source_ammount",
    ),
}


async def test_an_order_that_cannot_be_is_refused_with_its_field(nodes: TwoNodes) -> None:
    for path in ("/accounts/alice/payments", "/accounts/alice/payments/quote"):
        for name, (body, field) in _BAD.items():
            status, answer = await nodes.alpha.call("POST", path, body)
            assert status == 400, (name, answer)
            assert answer["invalid-params"][0]["name"] == field, (name, answer)
    for key in ("", "k" * 256, "ümlaut"):
        status, answer = await nodes.alpha.call(
            "POST",
            "/accounts/alice/payments",
            {"receiver": nodes.bob, "source_amount": 1},
            headers={"Idempotency-Key": key},
        )
        assert status == 400, (key, answer)
    for body in ({}, {"amount": 0}, {"amount": 2**63}, {"amount": 1, "expires_in_seconds": 0}):
        status, answer = await nodes.alpha.call("POST", "/accounts/alice/invoices", body)
        assert status == 400, (body, answer)
    for path in (
        "/payments?state=paid",
        "/payments?limit=0",
        "/payments?limit=1001",
        "/payments?before=x",
        "/payments?format=xml",
        "/invoices?state=completed",
    ):
        status, answer = await nodes.alpha.call("GET", path)
        assert status == 400, (path, answer)
    for method, path in (
        ("GET", "/payments/none"),
        ("POST", "/payments/none/cancel"),
        ("GET", "/invoices/none"),
        ("POST", "/invoices/none/cancel"),
        ("GET", "/payments?username=nobody"),
        ("POST", "/accounts/nobody/invoices"),
    ):
        status, answer = await nodes.alpha.call(
            method, path, {"amount": 1} if method == "POST" else None
        )
        assert status == 404, (path, answer)
    assert (await nodes.alpha.get("/payments"))["payments"] == []


# --- The command line --------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


async def cli(url: str, *arguments: str) -> tuple[int, str, str]:
    environment = {
        "SIGNALBOX_NODE_URL": url,
        "SIGNALBOX_ADMIN_TOKEN": ADMIN,
        "SIGNALBOX_STORE": "memory:",
    }
    out, notes = io.StringIO(), Terminal()
    code = await asyncio.to_thread(signalbox_cli, list(arguments), environment, out, notes)
    return code, out.getvalue(), notes.getvalue()


async def test_the_command_line_quotes_pays_asks_and_looks_back(slow_nodes: TwoNodes) -> None:
    alpha, beta, bob = slow_nodes.paying.url, slow_nodes.paid.url, slow_nodes.bob

    code, out, _ = await cli(alpha, "pay", "alice", "--to", bob, "--amount", "9000", "--quote")
    assert code == 0
    assert "0.009 USD buy 0.009 USD" in out
    assert "the path keeps  0.00 %" in out
    code, out, notes = await cli(alpha, "pay", "alice", "--to", bob, "--amount", "90000")
    assert code == 0, out
    assert "0.09 USD of 0.09 USD sent, 0.09 USD delivered." in out
    assert "pending" in notes
    code, out, _ = await cli(beta, "invoices", "create", "bob", "--amount", "7000")
    assert code == 0
    url = next(line.split()[-1] for line in out.splitlines() if line.startswith("to pay it"))
    code, out, _ = await cli(alpha, "pay", "alice", "--to", url, "--deliver", "7000", "--json")
    assert code == 0, out
    code, out, _ = await cli(beta, "invoices", "list", "--state", "paid")
    assert out.count("0.007000 USD") == 2
    code, out, _ = await cli(alpha, "payments", "list")
    assert out.count("completed") == 2
    code, out, _ = await cli(beta, "payments", "received", "--username", "bob", "--csv")
    assert len(out.splitlines()) == 3
    store = slow_nodes.paid.node.stores.payments
    for row in await store.received_payments(ReceivedFilter()):
        await store.note_connection(row.account, row.connection, payer_text="=rent\nfor May")
    code, out, _ = await cli(beta, "payments", "received", "--username", "bob", "--csv")
    lines = csv.DictReader(io.StringIO(out))
    assert [line["payer_text"] for line in lines] == ["'=rent\nfor May"] * 2
    code, out, _ = await cli(beta, "payments", "received", "--username", "bob")
    assert out.splitlines()[0].endswith("THE PAYER'S WORDS")
    assert [line.count("=rent for May") for line in out.splitlines()] == [0, 1, 1]
    code, out, _ = await cli(beta, "payments", "address", "bob")
    assert out.strip() == bob
    nobody = f"{beta}/accounts/nobody/spsp"
    code, out, _ = await cli(alpha, "pay", "alice", "--to", nobody, "--amount", "1")
    assert code == 1
    assert "There is no nobody here" in out
    code, _, notes = await cli(alpha, "payments", "show", "none")
    assert code == 1
    assert "There is no payment 'none'" in notes


async def test_ctrl_c_cancels_and_says_what_was_sent(slow_nodes: TwoNodes) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core.cli", "pay", "alice", "--to", slow_nodes.bob, "--amount", "50000000", "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "SIGNALBOX_NODE_URL": slow_nodes.paying.url,
            "SIGNALBOX_ADMIN_TOKEN": ADMIN,
        },
    )  # fmt: skip
    async with asyncio.timeout(20):
        while not (rows := (await slow_nodes.alpha.get("/payments"))["payments"]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await slow_nodes.alpha.once_sent(rows[0], 1)

        program.send_signal(signal.SIGINT)
        out, err = await program.communicate()

    assert (program.returncode, err) == (1, b"")
    payment = json.loads(out)
    assert payment["state"] == "cancelled"
    assert 0 < int(payment["sent"]) == slow_nodes.booked(payment["id"])


async def test_the_command_line_tells_what_comes_as_it_comes(slow_nodes: TwoNodes) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "core.cli", "payments", "incoming",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "SIGNALBOX_NODE_URL": slow_nodes.paid.url,
            "SIGNALBOX_ADMIN_TOKEN": ADMIN,
        },
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(20):
        while not slow_nodes.paid.node.notices.watched:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        begun = await slow_nodes.alpha.begin(receiver=slow_nodes.bob, source_amount=2_000)
        while not lines or "its sender is done" not in lines[-1]:
            lines.append((await program.stdout.readline()).decode())
        await slow_nodes.alpha.ended(begun)
        await slow_nodes.paid.stop()
        slow_nodes.stopped.append(slow_nodes.paid)
        code = await program.wait()
        err = (await program.stderr.read()).decode()

    assert len(lines) >= 3
    assert "0.002000 USD in all" in lines[-2]
    assert all("alpha to bob" in line for line in lines)
    assert (code, "closed the connection" in err) == (1, True), err
    status, _, notes = await cli(
        slow_nodes.paying.url, "accounts", "incoming-payments", "nobody"
    )
    assert status == 1
    assert notes


# --- A node is killed --------------------------------------------------------------------------------


async def test_after_each_kill_a_payment_says_what_the_books_say(
    slow_nodes: TwoNodes, tmp_path: Path
) -> None:
    """The node that pays is killed again and again; the node that is paid lives, and knows what came."""
    await slow_nodes.paying.stop()
    slow_nodes.stopped.append(slow_nodes.paying)
    database = tmp_path / "alpha.db"
    chance = random.Random(7)
    states, inexact, undecided = set(), 0, 0
    async with Nursery.start() as nursery:
        arguments = ("run", "--store", f"sqlite:///{database}", "--http-bind", "127.0.0.1:0")

        async def life() -> tuple[int, Api]:
            pid = await nursery.fork(*arguments, "--admin-token", ADMIN)
            ready = await nursery.ready(pid)
            assert ready is not None, nursery.said
            return pid, Api(slow_nodes.alpha.session, ready["url"])

        pid, api = await life()
        for _ in range(KILLS):
            before = int((await api.get("/accounts/alice/balance"))["net"])
            begun = await api.begin(receiver=slow_nodes.bob, source_amount=100_000_000)
            await asyncio.sleep(chance.uniform(0.02, 0.5))
            os.kill(pid, 9)
            await nursery.end(pid)
            pid, api = await life()

            payment = await api.get(f"/payments/{begun['id']}")
            sent, left = int(payment["sent"]), int(payment["undecided"])
            delivered = int(payment["delivered"])
            states.add(payment["state"])
            assert payment["state"] in ENDED
            assert payment["in_flight"] == "0"
            assert sent == booked(database, begun["id"])
            assert int((await api.get("/accounts/alice/balance"))["net"]) == before - sent
            arrived = await slow_nodes.received(payment["destination"] or "none")
            assert sent <= arrived <= sent + left
            assert delivered <= arrived
            if payment["delivered_exact"]:
                assert delivered == arrived == sent
            else:
                inexact += 1
                assert "at least" in payment["sentence"]
            undecided += left
        assert (await api.get("/audit"))["passed"]
        os.kill(pid, 9)
        await nursery.end(pid)
    assert states == {"interrupted"}, states
    assert inexact
    assert undecided
    assert (await slow_nodes.beta.get("/audit"))["passed"]


@pytest.mark.logs_warning
async def test_an_invoice_is_credited_exactly_though_the_node_that_is_paid_is_killed(
    slow_nodes: TwoNodes, tmp_path: Path
) -> None:
    """The node that is paid is killed under one payment; the other lives, and goes on where it can."""
    nodes, database = slow_nodes, tmp_path / "beta.db"
    _, invoice = await nodes.beta.call(
        "POST", "/accounts/bob/invoices", {"amount": "50000000", "description": "a house"}
    )
    bind = nodes.paid.url.removeprefix("http://")
    await nodes.paid.stop()
    nodes.stopped.append(nodes.paid)
    chance = random.Random(11)
    async with Nursery.start() as nursery:
        arguments = ("run", "--store", f"sqlite:///{database}", "--http-bind", bind)

        async def life() -> int:
            pid = await nursery.fork(*arguments, "--admin-token", ADMIN)
            assert await nursery.ready(pid) is not None, nursery.said
            return pid

        pid = await life()
        begun = await nodes.alpha.begin(receiver=invoice["url"], source_amount="50000000")
        sent = 0
        for _ in range(RECEIVER_KILLS):
            found = await nodes.alpha.once_sent(begun, sent + 1)
            sent = int(found["sent"])
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            os.kill(pid, signal.SIGKILL)
            await nursery.end(pid)
            pid = await life()
        await nodes.alpha.call("POST", f"/payments/{begun['id']}/cancel")
        payment = await nodes.alpha.ended(begun)
        found = await nodes.beta.get(f"/invoices/{invoice['id']}")
        assert (await nodes.beta.get("/audit"))["passed"]
        os.kill(pid, signal.SIGKILL)
        await nursery.end(pid)

    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    (journal,) = connection.execute(
        "SELECT sum(outgoing_amount) FROM transfer WHERE state = 1 AND destination LIKE ?",
        ("test.beta.bob.%",),
    ).fetchone()
    (rows,) = connection.execute(
        "SELECT sum(CAST(received AS INTEGER)) FROM received_payment WHERE invoice = ?",
        (invoice["id"],),
    ).fetchone()
    connection.close()
    assert int(found["received"]) == rows == journal
    connection = sqlite3.connect(f"file:{tmp_path / 'alpha.db'}?mode=ro", uri=True)
    (open_or_late,) = connection.execute(
        "SELECT coalesce(sum(incoming_amount), 0) FROM transfer"
        " WHERE state IN (0, 3, 4, 5) AND payment IS NOT NULL"
    ).fetchone()
    connection.close()
    assert payment["state"] == "cancelled", payment
    assert int(payment["sent"]) == nodes.booked(begun["id"]) > 0
    assert int(payment["sent"]) <= journal <= int(payment["sent"]) + open_or_late
    assert (await nodes.alpha.get("/audit"))["passed"]


@pytest.mark.logs_warning
async def test_of_two_nodes_with_one_store_each_cancels_and_closes_what_the_other_makes(
    slow_nodes: TwoNodes,
) -> None:
    nodes, store = slow_nodes, f"sqlite:///{slow_nodes.folder}/alpha.db"
    async with Nursery.start() as nursery:
        pid = await nursery.fork(
            "run", "--store", store, "--http-bind", "127.0.0.1:0", "--admin-token", ADMIN
        )
        ready = await nursery.ready(pid)
        assert ready is not None, nursery.said
        other = Api(nodes.alpha.session, ready["url"])

        begun = await other.begin(receiver=nodes.bob, source_amount=50_000_000)
        await nodes.alpha.once_sent(begun, 1)
        status, answer = await nodes.alpha.call("POST", f"/payments/{begun['id']}/cancel")
        assert (status, answer["cancel_requested"]) == (200, True)
        cancelled = await nodes.alpha.ended(answer)
        assert cancelled["state"] == "cancelled", cancelled
        assert int(cancelled["sent"]) == nodes.booked(begun["id"]) > 0

        begun = await other.begin(receiver=nodes.bob, source_amount=50_000_000)
        await nodes.alpha.once_sent(begun, 1)
        await nodes.paying.node.recover()
        assert (await nodes.alpha.get(f"/payments/{begun['id']}"))["state"] == "sending"
        os.kill(pid, signal.SIGKILL)
        await nursery.end(pid)
        await nodes.paying.node.recover()

        payment = await nodes.alpha.get(f"/payments/{begun['id']}")
        assert payment["state"] == "interrupted"
        sent, left = int(payment["sent"]), int(payment["undecided"])
        assert sent == nodes.booked(begun["id"]) > 0
        assert sent <= await nodes.received(payment["destination"]) <= sent + left
        await nodes.audit()
