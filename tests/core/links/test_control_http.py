"""The operator API over loopback: interledger-rs's calls, our own, who may call, and what is refused."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import pytest
from aiohttp import ClientError, ClientSession, DummyCookieJar
from aiohttp.test_utils import TestServer

from core.account import Secret
from core.control.operator import Operator
from core.errors import Conflict, StoreUnavailable
from core.links.control_http import ApiOptions, build_app
from core.payments.payer import Order
from core.payments.records import Payment
from core.service import IncomingRequest
from core.testing.builders import prepare
from tests.core.control.archive import Archive
from tests.core.control.bench import Bench, make_bench
from tests.core.control.test_payments import begin
from tests.core.links.api_client import ADMIN, ApiClient
from tests.core.payments.payments import payment

ALICE = "token-of-alice-0123456789"
BOB = "token-of-bob-0123456789"

ACCOUNT: dict[str, Any] = {
    "username": "alice",
    "asset_code": "XRP",
    "asset_scale": 9,
    "ilp_over_http_incoming_token": ALICE,
}


@contextlib.asynccontextmanager
async def serve(operator: Operator, bench: Bench, **options: Any) -> AsyncIterator[ApiClient]:
    """Serve the API on a port of its own, and yield a client of it."""

    def account_by_token(token: str) -> str | None:
        digest = bench.stores.accounts.hash_token(token)
        account = bench.node.directory.by_token_hash(digest)
        return None if account is None else account.username

    app = build_app(
        operator,
        ApiOptions(
            admin_token=Secret(ADMIN),
            account_by_token=account_by_token,
            **{"bind_host": "127.0.0.1", **options},
        ),
    )
    async with (
        TestServer(app, host="127.0.0.1") as server,
        ClientSession(cookie_jar=DummyCookieJar()) as session,
    ):
        yield ApiClient(session, str(server.make_url("")).rstrip("/"))


@pytest.fixture
async def bench() -> Bench:
    return await make_bench()


@pytest.fixture
async def api(bench: Bench) -> AsyncIterator[ApiClient]:
    """Return a client of a node with no account."""
    async with serve(bench.control, bench) as client:
        yield client


class Crowded:
    """A payer for whose payments so many wait that no more may."""

    def __init__(self, begun: Payment) -> None:
        self._begun = begun

    async def start(self, order: Order, **_: object) -> Payment:
        return self._begun

    async def wait(self, payment_id: str, **_: object) -> Payment:
        raise Conflict("100 calls wait for payments")

    def pace(self, payment_id: str) -> None:
        return None


async def test_who_may_not_wait_for_a_payment_is_told_that_it_is_under_way(
    bench: Bench,
) -> None:
    await bench.add("alice")
    begun = payment(id="p-7", account=bench.id_of("alice"))
    control = bench.control_with(payer=Crowded(begun))
    order = {"receiver": "$bob.example", "source_amount": 5}
    async with serve(control, bench) as api:
        answer = await api.post("/accounts/alice/payments", order)

        assert answer.status == 409
        assert "The payment p-7 is under way all the same: 100 calls wait" in answer.detail
        assert answer.json["payment"]["id"] == "p-7"


# --- interledger-rs's calls


async def test_anybody_may_ask_whether_the_node_is_there(api: ApiClient) -> None:
    answer = await api.get("/", token=None)

    assert answer.status == 200
    assert answer.json == {"status": "Ready", "ilp_address": "test.node", "version": "1.2.3"}


async def test_a_node_in_trouble_says_503(api: ApiClient, bench: Bench) -> None:
    bench.problems.append("The store cannot be used.")

    answer = await api.get("/", token=None)

    assert (answer.status, answer.json["status"]) == (503, "Troubled")


async def test_an_account_has_interledger_rs_s_shape(api: ApiClient, bench: Bench) -> None:
    answer = await api.post("/accounts", ACCOUNT)

    assert answer.status == 200
    made = answer.json
    assert made.pop("id") == bench.id_of("alice")
    assert {name: made[name] for name in list(made)[:19]} == {
        "username": "alice",
        "ilp_address": "test.node.alice",
        "asset_code": "XRP",
        "asset_scale": 9,
        "max_packet_amount": 18446744073709551615,
        "min_balance": None,
        "ilp_over_http_url": None,
        "ilp_over_http_incoming_token": "SECRET",
        "ilp_over_http_outgoing_token": None,
        "ilp_over_btp_url": None,
        "ilp_over_btp_incoming_token": None,
        "ilp_over_btp_outgoing_token": None,
        "settle_threshold": None,
        "settle_to": None,
        "routing_relation": "NonRoutingAccount",
        "round_trip_time": 500,
        "amount_per_minute_limit": None,
        "packets_per_minute_limit": None,
        "settlement_engine_url": None,
    }
    assert (await api.get("/accounts")).json == [answer.json]
    assert (await api.get("/accounts/ALICE")).json == answer.json


async def test_numbers_come_as_numbers_or_as_text(api: ApiClient) -> None:
    answer = await api.post(
        "/accounts",
        {
            **ACCOUNT,
            "asset_scale": "9",
            "max_packet_amount": "18446744073709551615",
            "min_balance": "-1000000",
            "settle_threshold": 1_000,
            "settle_to": "-10",
            "packets_per_minute_limit": 600.0,
        },
    )

    made = answer.json
    assert made["max_packet_amount"] == 2**64 - 1
    assert (made["min_balance"], made["settle_threshold"]) == (-1_000_000, 1_000)
    assert (made["settle_to"], made["packets_per_minute_limit"]) == (-10, 600)


async def test_what_is_settled_about_limits_and_routes_goes_in_and_comes_out(
    api: ApiClient,
) -> None:
    ours = {
        "packet_burst_limit": 20,
        "amount_burst_limit": 2**64 - 1,
        "packets_in_flight_limit": 9,
        "amount_in_flight_limit": 2**53 + 1,
        "outgoing_amount_per_minute_limit": 7,
        "spread": "0.005",
        "send_routes": True,
        "receive_routes": False,
        "import_prefixes": ["g", "test.far"],
        "export_prefixes": ["test"],
        "routes_max": 100,
        "route_weight": -5,
    }

    made = (await api.post("/accounts", {**ACCOUNT, **ours})).json
    assert {name: made[name] for name in ours} == ours

    kept = (await api.put("/accounts/alice", {"label": "Alice"})).json
    assert {name: kept[name] for name in ours} == ours

    cleared = (await api.put("/accounts/alice", dict.fromkeys(ours))).json
    empty = {"import_prefixes": [], "export_prefixes": [], "route_weight": 0}
    assert {name: cleared[name] for name in ours} == dict.fromkeys(ours) | empty


@pytest.mark.parametrize("spread", ["0.1", "1/10", "10%", 0.1])
async def test_a_spread_is_taken_as_people_write_it_and_is_exact(
    api: ApiClient, bench: Bench, spread: object
) -> None:
    await api.post("/accounts", ACCOUNT)

    answer = await api.put("/accounts/alice", {"spread": spread})

    assert answer.json["spread"] == "0.1"
    assert (await bench.control.account("alice")).account.spread == Fraction(1, 10)


async def test_a_put_keeps_what_it_does_not_name_and_clears_what_is_null(
    api: ApiClient,
) -> None:
    await api.post("/accounts", {**ACCOUNT, "min_balance": -5, "notes": "met in Lisbon"})

    answer = await api.put("/accounts/alice", {"min_balance": None, "label": "Alice"})

    changed = answer.json
    assert (changed["min_balance"], changed["label"]) == (None, "Alice")
    assert changed["notes"] == "met in Lisbon"
    assert changed["ilp_over_http_incoming_token"] == "SECRET"


async def test_a_put_takes_an_account_back_as_it_was_shown(
    api: ApiClient, bench: Bench
) -> None:
    await api.post("/accounts", {**ACCOUNT, "min_balance": -5})
    before = (await bench.control.account("alice")).account
    shown = (await api.get("/accounts/alice")).json

    answer = await api.put("/accounts/alice", {**shown, "min_balance": "-7"})

    assert (answer.status, answer.json["min_balance"]) == (200, -7)
    after = (await bench.control.account("alice")).account
    assert replace(after, min_balance=-5, updated_at_ms=before.updated_at_ms) == before
    assert (
        await api.get("/accounts/alice", token=ACCOUNT["ilp_over_http_incoming_token"])
    ).status == 200


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("id", "00000000-0000-4000-8000-000000000000", "and cannot be set"),
        ("created_at_ms", 1, "and cannot be set"),
        ("ilp_over_btp_incoming_token", "SECRET", "stands for a token that is set"),
    ],
)
async def test_a_put_refuses_what_was_never_shown(
    api: ApiClient, name: str, value: object, words: str
) -> None:
    await api.post("/accounts", ACCOUNT)

    answer = await api.put("/accounts/alice", {name: value})

    assert answer.status == 400
    assert words in answer.json["detail"]


async def test_a_complete_put_as_interledger_rs_has_it_works(api: ApiClient) -> None:
    await api.post("/accounts", ACCOUNT)

    answer = await api.put("/accounts/alice", {**ACCOUNT, "min_balance": "-7"})

    assert (answer.status, answer.json["min_balance"]) == (200, -7)


async def test_a_balance_has_the_float_and_beside_it_what_is_exact(
    api: ApiClient, bench: Bench
) -> None:
    await api.post("/accounts", ACCOUNT)
    amount = 9_007_199_254_740_993
    await bench.control.correct_balance("alice", amount, "more than a float can tell apart")

    answer = (await api.get("/accounts/alice/balance")).json

    assert answer["balance"] == pytest.approx(9_007_199.254740993)
    assert (answer["asset_code"], answer["asset_scale"]) == ("XRP", 9)
    assert answer["exact"] == "9007199.254740993"
    assert answer["net"] == str(amount)


async def test_a_balance_of_the_largest_scale_is_a_number_still(api: ApiClient) -> None:
    await api.post("/accounts", {**ACCOUNT, "asset_scale": 255})

    answer = (await api.get("/accounts/alice/balance")).json

    assert (answer["balance"], answer["exact"]) == (0.0, "0." + "0" * 255)


async def test_a_deleted_account_is_returned_and_gone(api: ApiClient) -> None:
    made = (await api.post("/accounts", ACCOUNT)).json

    assert (await api.delete("/accounts/alice")).json == made
    assert (await api.get("/accounts/alice")).status == 404


async def test_an_account_that_is_owed_is_deleted_only_if_the_query_says_so(
    api: ApiClient, bench: Bench
) -> None:
    await api.post("/accounts", ACCOUNT)
    await bench.control.correct_balance("alice", 5, "a test")

    refused = await api.delete("/accounts/alice")
    assert refused.status == 409
    assert "you owe it 0.000000005 XRP" in refused.detail
    assert (await api.delete("/accounts/alice?even_with_balance=perhaps")).status == 400
    assert (await api.delete("/accounts/alice?even_with_balance=true")).status == 200


async def test_settings_are_what_the_user_may_change(api: ApiClient) -> None:
    await api.post("/accounts", {**ACCOUNT, "ilp_over_http_outgoing_token": "out-of-alice"})

    answer = await api.put(
        "/accounts/alice/settings",
        {
            "ilp_over_http_url": "https://alice.example/ilp",
            "ilp_over_http_outgoing_token": None,
            "settle_threshold": "10",
            "settle_to": 0,
        },
        token=ALICE,
    )

    assert answer.status == 200
    changed = answer.json
    assert changed["ilp_over_http_url"] == "https://alice.example/ilp"
    assert changed["ilp_over_http_outgoing_token"] is None
    assert (changed["settle_threshold"], changed["settle_to"]) == (10, 0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"min_balance": None}, "it is none of the settings"),
        ({"settle_to": -1}, "only the operator may pay in advance"),
        ({"settle_to": "-1"}, "only the operator may pay in advance"),
        ({"ilp_over_http_url": "http://127.0.0.1:7770/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://LOCALHOST/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://[::1]/"}, "the node's own network"),
        ({"ilp_over_btp_url": "wss://10.0.0.7/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://169.254.169.254/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://2130706433/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://127.1/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://0x7f000001/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://１２７.０.０.１/"}, "the node's own network"),
        ({"ilp_over_http_url": "http://localhost./"}, "the node's own network"),
        ({"ilp_over_btp_url": "btp+ws://[64:ff9b::7f00:1]/"}, "the node's own network"),
    ],
)
async def test_a_user_may_not_reach_into_the_node_s_network_nor_prefund(
    api: ApiClient, changes: dict[str, Any], sentence: str
) -> None:
    before = (await api.post("/accounts", ACCOUNT)).json

    answer = await api.put("/accounts/alice/settings", changes, token=ALICE)

    assert answer.status == 400
    assert sentence in answer.detail
    assert (await api.get("/accounts/alice")).json == before


async def test_every_field_that_is_no_setting_is_named_at_once(api: ApiClient) -> None:
    await api.post("/accounts", ACCOUNT)

    answer = await api.put("/accounts/alice/settings", {"min_balance": 1, "label": "x"})

    assert answer.status == 400
    assert "min_balance: it is none of the settings" in answer.detail
    assert "label: it is none of the settings" in answer.detail


async def test_rates_are_replaced_and_read_by_anybody(api: ApiClient) -> None:
    answer = await api.put("/rates", {"ABC": 1.0, "XYZ": "2.0000000000000000001"})

    assert answer.json == {"ABC": 1.0, "XYZ": 2.0}
    assert (await api.get("/rates", token=None)).json == {"ABC": 1.0, "XYZ": 2.0}
    exact = (await api.get("/rates/exact")).json
    assert exact["prices"] == {"ABC": "1", "XYZ": "2.0000000000000000001"}
    spread = await api.put("/rates/spread", text="0.015")
    assert spread.json["spread"] == "3/200"


async def test_routes_are_set_one_by_one_and_all_at_once(api: ApiClient) -> None:
    await api.post("/accounts", ACCOUNT)

    one = await api.put("/routes/static/test.far", text="alice")
    as_json = await api.put("/routes/static/test.json", "alice")
    assert (one.status, one.text) == (200, "alice")
    assert as_json.text == "alice"
    assert (await api.get("/routes")).json == {
        "test.far": "alice",
        "test.json": "alice",
        "test.node.alice": "alice",
    }

    all_ = await api.put("/routes/static", {"test.x": "alice"})
    assert all_.json == {"test.x": "alice"}
    assert (await api.get("/routes")).json == {"test.x": "alice", "test.node.alice": "alice"}
    assert (await api.put("/routes/static", {})).json == {}
    assert (await api.get("/routes")).json == {"test.node.alice": "alice"}


async def test_curl_sends_text_as_a_form_and_is_understood(api: ApiClient) -> None:
    await api.post("/accounts", ACCOUNT)

    answer = await api.put(
        "/routes/static/test.far",
        text="alice",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.status == 200


async def test_static_and_default_routes_can_be_removed(api: ApiClient) -> None:
    await api.post("/accounts", ACCOUNT)
    await api.put("/routes/static/test.far", text="alice")
    await api.put("/routes/default", text="alice")
    assert (await api.get("/routes/table")).json[0] == {
        "prefix": "",
        "next_hop": "alice",
        "source": "default",
        "path": [],
    }

    assert (await api.delete("/routes/static/test.far")).status == 204
    assert (await api.delete("/routes/default")).status == 204

    assert (await api.get("/routes")).json == {"test.node.alice": "alice"}
    assert (await api.delete("/routes/static/test.far")).status == 404


async def test_engines_of_assets_are_added_and_replaced(api: ApiClient) -> None:
    answer = await api.put("/settlement/engines", {"XRP": "http://127.0.0.1:3000"})
    assert answer.json == {"XRP": "http://127.0.0.1:3000"}
    await api.put("/settlement/engines", {"ETH": "signalbox:ethereum"})

    assert (await api.get("/settlement/engines")).json == {
        "XRP": "http://127.0.0.1:3000",
        "ETH": "signalbox:ethereum",
    }


async def test_the_log_s_level_is_set(api: ApiClient, bench: Bench) -> None:
    answer = await api.put("/tracing-level", text="debug")

    assert answer.text == "Logging level changed to: debug"
    assert bench.log.level == "debug"
    assert (await api.put("/tracing-level", text="loud")).status == 400


# --- Our own calls


async def test_lists_can_be_read_in_parts(api: ApiClient) -> None:
    for username in ("alice", "bob", "carol"):
        await api.post(
            "/accounts", {"username": username, "asset_code": "XRP", "asset_scale": 9}
        )

    part = (await api.get("/accounts?offset=1&limit=1")).json

    assert [account["username"] for account in part] == ["bob"]
    assert len((await api.get("/overview?limit=2")).json) == 2
    assert list((await api.get("/routes?offset=2")).json) == ["test.node.carol"]
    assert (await api.get("/accounts?limit=-1")).status == 400
    assert (await api.get("/accounts?limit=many")).status == 400


async def test_a_check_saves_nothing(api: ApiClient) -> None:
    found = (await api.post("/accounts/check", {**ACCOUNT, "settle_threshold": "5"})).json
    bad = (await api.post("/accounts/check", {**ACCOUNT, "asset_scale": 300})).json

    assert found["problems"] == []
    assert "alice may owe you without limit." in found["summary"]
    assert "min_balance" in [warning["name"] for warning in found["warnings"]]
    assert [problem["name"] for problem in bad["problems"]] == ["asset_scale"]
    assert (await api.get("/accounts")).json == []


async def test_an_account_is_paused_resumed_corrected_and_looked_at(
    api: ApiClient,
) -> None:
    await api.post("/accounts", {**ACCOUNT, "min_balance": 0})

    assert (await api.post("/accounts/alice/pause")).json["enabled"] is False
    assert (await api.get("/accounts/alice/overview")).json["state"] == "paused"
    assert (await api.post("/accounts/alice/resume")).json["enabled"] is True
    corrected = await api.post(
        "/accounts/alice/correction", {"amount": "-25", "reason": "her statement"}
    )
    assert corrected.json["summary"] == "alice owes you 0.000000025 XRP"
    (row,) = (await api.get("/overview")).json
    assert (row["net"], row["receivable"]) == ("-25", "25")
    exposure = (await api.get("/exposure")).json
    assert [(found["asset_code"], found["owed_to_us"]) for found in exposure] == [("XRP", "25")]
    audit = (await api.get("/audit")).json
    assert audit["passed"] is True
    assert [total["sum"] for total in audit["totals"]] == ["0"]


async def test_an_account_is_pinged(api: ApiClient) -> None:
    await api.post("/accounts", {**ACCOUNT, "ilp_over_http_url": "http://127.0.0.1:1/ilp"})

    answer = (await api.post("/accounts/alice/ping")).json

    assert answer == {
        "answered": True,
        "latency_us": 0,
        "sentence": "alice answered in 0.0 ms.",
    }


async def test_a_settlement_is_started_listed_and_explained(
    api: ApiClient, bench: Bench
) -> None:
    await bench.add("alice")
    await bench.add(
        "bob",
        settlement_address="0x" + "2" * 40,
        settlement_engine_url="signalbox:ethereum",
        settle_threshold=100_000,
    )
    await bench.pay("alice", "bob", 1_240)
    refused = await api.post("/accounts/bob/settle")
    assert refused.status == 409
    assert refused.detail == "Nothing was settled: the engine ethereum has never run; start it."
    await bench.start_engine()

    (due,) = (await api.get("/settlements/due")).json
    assert (due["username"], due["owed"], due["due"]) == ("bob", "1240", False)
    started = (await api.post("/accounts/bob/settle", {"amount": "1000"})).json

    (row,) = (await api.get("/settlements?username=bob&limit=5")).json
    assert row["id"] == started["id"]
    assert (row["amount"], row["exact"], row["state"]) == ("1000", "10.00", "intent")
    assert row["ledger_amount"] == str(10**19)
    (engine,) = (await api.get("/engines")).json
    assert (engine["name"], engine["alive"], engine["balance"]) == ("ethereum", True, "10")
    assert (await api.get("/settlements/unmatched")).json == []
    missing = await api.post("/settlements/unmatched/assign", {"key": "x", "username": "bob"})
    assert missing.status == 404


async def test_it_is_explained_where_a_packet_would_go(api: ApiClient, bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")

    answer = (await api.get("/explain?destination=test.node.bob.x&amount=250&from=alice")).json

    assert answer["forwarded"] is True
    assert (answer["next_hop"], answer["outgoing_amount"]) == ("bob", "250")
    assert answer["steps"][-1]["verdict"] == "sends"
    assert (await api.get("/explain")).status == 400
    assert (await api.get("/explain?destination=nowhere")).status == 400
    assert (await api.get("/explain?destination=test.x&from=nobody")).status == 404
    too_much = await api.get(f"/explain?destination=test.node.bob.x&amount={2**64}")
    assert too_much.status == 400
    assert "0 to 18446744073709551615" in too_much.text
    beyond = await api.get(f"/explain?destination=test.node.bob.x&amount={10**30}")
    assert "0 to 18446744073709551615" in beyond.text


async def test_the_own_address_is_no_route_one_by_one_or_with_all_others(
    api: ApiClient,
) -> None:
    await api.post("/accounts", ACCOUNT)
    await api.put("/routes/static/test.far", text="alice")
    ours, before = "test.node", (await api.get("/routes")).json

    for answer in (
        await api.put(f"/routes/static/{ours}", text="alice"),
        await api.put("/routes/static", {"test.x": "alice", ours: "alice"}),
    ):
        assert answer.status == 400
        assert "this node's own address" in answer.json["detail"]

    assert (await api.get("/routes")).json == before


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "it is text, not null"),
        (True, "it is text, not true"),
        (["alice"] * 1000, "it is text, not ['alice', 'alice'"),
    ],
)
async def test_what_is_no_text_is_said_as_it_was_sent_and_in_short(
    api: ApiClient, value: object, words: str
) -> None:
    answer = await api.put("/routes/static", {"test.far": value})

    assert answer.status == 400
    assert words in answer.json["detail"]
    assert len(answer.text) < 1000


async def test_what_a_crash_left_is_listed_and_resolved(api: ApiClient, bench: Bench) -> None:
    await bench.add("alice")
    await bench.add("bob")
    transfer = await bench.prepare("alice", "bob", 700)
    await bench.crash()

    (row,) = (await api.get("/unknown-transfers")).json
    assert (row["id"], row["outgoing_amount"]) == (str(transfer), "700")
    assert (await api.get("/unknown-transfers/sums")).json == {
        "peers": [
            {"username": "bob", "asset_code": "USD", "asset_scale": 2, "undecided": "700"}
        ],
        "payments": [],
    }
    path = f"/unknown-transfers/{row['id']}/resolve"
    assert (await api.post(path, {"fulfilled": "yes"})).status == 400
    assert (await api.post("/unknown-transfers/x/resolve", {"fulfilled": True})).status == 400
    assert (await api.post(path, {"fulfilled": False})).status == 204
    refused = await api.post(path, {"fulfilled": True})
    assert refused.status == 409
    assert "it was given up as not paid already" in refused.detail
    assert (await api.get("/unknown-transfers")).json == []


async def test_what_a_crash_left_of_a_peer_is_resolved_by_one_call(
    api: ApiClient, bench: Bench
) -> None:
    await bench.add("alice")
    await bench.add("bob")
    for amount in (700, 5):
        await bench.prepare("alice", "bob", amount)
    await bench.crash()

    path = "/unknown-transfers/resolve"
    for body in (
        {"fulfilled": True},
        {"fulfilled": "yes", "peer": "bob"},
        {"fulfilled": True, "peer": 1},
    ):
        assert (await api.post(path, body)).status == 400
    assert (await api.post(path, {"fulfilled": True, "peer": "nobody"})).status == 404
    assert (await api.post(path, {"fulfilled": True, "payment": "none"})).status == 404
    answer = await api.post(path, {"fulfilled": True, "peer": "bob"})
    assert answer.json == {
        "resolved": 2,
        "sums": [{"asset_code": "USD", "asset_scale": 2, "amount": "705"}],
        "more": False,
    }
    assert (await api.get("/unknown-transfers")).json == []


async def test_status_packets_history_and_logs_are_told(api: ApiClient) -> None:
    status = (await api.get("/status")).json

    assert (status["status"], status["node_number"]) == ("Ready", 1)
    assert (await api.get("/packets?after=0&limit=10")).json == []
    assert (await api.get("/logs")).json == []
    assert (await api.get("/history?seconds=60&samples=10")).json["samples"] == []
    assert (await api.get("/history?seconds=0")).status == 400


async def test_a_packet_names_its_row_in_the_books_of_which_its_rate_is_told(
    api: ApiClient, bench: Bench
) -> None:
    await bench.add("alice", asset_code="USD", asset_scale=2)
    await bench.add("bob", asset_code="EUR", asset_scale=2)
    assert (await api.put("/rates", {"EUR": "1.25", "USD": "1"})).status == 200
    alice = bench.node.directory.by_username("alice")
    assert alice is not None
    for destination in ("test.node.bob", "test.nowhere"):
        packet = prepare(1_000, destination=destination, now_ms=bench.clock.now_ms())
        await bench.node.incoming.handle(IncomingRequest(alice, packet))

    sent, lost = (await api.get("/packets")).json

    assert (sent["verdict"], lost["verdict"]) == ("fulfilled", "rejected")
    assert lost["transfer"] is None
    assert isinstance(sent["transfer"], str)
    told = (await api.get(f"/rates/transfers/{sent['transfer']}")).json
    assert (told["transfer"], told["rate"]) == (sent["transfer"], "4/5")
    assert [price["code"] for price in told["prices"]["prices"]] == ["EUR", "USD"]


async def archive(bench: Bench, **options: Any) -> Operator:
    await bench.add("alice")
    await begin(bench)
    return cast("Operator", Archive(bench.control, await bench.control.payment("p"), **options))


async def test_a_table_of_payments_has_all_of_them_however_many_pages_they_are(
    bench: Bench,
) -> None:
    async with serve(await archive(bench, pages=1_000), bench) as api:
        answer = await api.get("/payments?format=csv")

        assert (answer.status, answer.kind) == (200, "text/csv")
        assert len(answer.text.splitlines()) == 1 + 1_000


@pytest.mark.logs_warning
async def test_a_table_that_the_store_cuts_short_has_no_end(bench: Bench) -> None:
    control = await archive(bench, pages=10, broken_at=5)
    async with serve(control, bench) as api:
        with pytest.raises(ClientError):
            await api.get("/payments?format=csv")
        first = await api.get("/payments?format=csv&before=5")

        assert (first.status, first.kind) == (503, "application/problem+json")


# --- Who may call

OPEN = [("GET", "/"), ("GET", "/rates"), ("GET", "/routes")]
OWNER = [
    ("GET", "/accounts/alice"),
    ("GET", "/accounts/alice/balance"),
    ("PUT", "/accounts/alice/settings"),
    ("GET", "/accounts/alice/payments"),
    ("GET", "/accounts/alice/payments/received"),
    ("GET", "/accounts/alice/payment-address"),
    ("GET", "/accounts/alice/invoices"),
]
ADMIN_ONLY = [
    ("POST", "/accounts"),
    ("GET", "/accounts"),
    ("PUT", "/accounts/alice"),
    ("DELETE", "/accounts/alice"),
    ("PUT", "/rates"),
    ("PUT", "/routes/static"),
    ("PUT", "/routes/static/test.x"),
    ("PUT", "/settlement/engines"),
    ("PUT", "/tracing-level"),
    ("GET", "/status"),
    ("GET", "/overview"),
    ("POST", "/accounts/check"),
    ("GET", "/accounts/alice/overview"),
    ("POST", "/accounts/alice/pause"),
    ("POST", "/accounts/alice/resume"),
    ("POST", "/accounts/alice/ping"),
    ("POST", "/accounts/alice/settle"),
    ("POST", "/accounts/alice/correction"),
    ("GET", "/routes/table"),
    ("GET", "/routes/peers"),
    ("GET", "/routes/peers/alice"),
    ("POST", "/routes/peers/alice/ask"),
    ("GET", "/routes/why"),
    ("GET", "/routes/changes"),
    ("DELETE", "/routes/static/test.x"),
    ("PUT", "/routes/default"),
    ("DELETE", "/routes/default"),
    ("GET", "/explain"),
    ("GET", "/rates/exact"),
    ("PUT", "/rates/spread"),
    ("GET", "/rates/feed"),
    ("POST", "/rates/sources"),
    ("POST", "/rates/sources/test"),
    ("PUT", "/rates/sources/bank"),
    ("DELETE", "/rates/sources/bank"),
    ("POST", "/rates/sources/bank/test"),
    ("POST", "/rates/jumps/EUR/confirm"),
    ("POST", "/rates/jumps/EUR/refuse"),
    ("PUT", "/rates/guard"),
    ("PUT", "/rates/reference"),
    ("PUT", "/rates/watched"),
    ("PUT", "/rates/spreads/USD/EUR"),
    ("DELETE", "/rates/spreads/USD/EUR"),
    ("GET", "/rates/convert"),
    ("GET", "/rates/snapshots"),
    ("GET", "/rates/snapshots/7"),
    ("GET", "/rates/transfers/7"),
    ("GET", "/settlement/engines"),
    ("GET", "/engines"),
    ("GET", "/settlements"),
    ("GET", "/settlements/due"),
    ("GET", "/settlements/unmatched"),
    ("POST", "/settlements/unmatched/assign"),
    ("GET", "/unknown-transfers"),
    ("GET", "/unknown-transfers/sums"),
    ("POST", "/unknown-transfers/resolve"),
    ("POST", "/unknown-transfers/1/resolve"),
    ("GET", "/audit"),
    ("GET", "/exposure"),
    ("GET", "/packets"),
    ("GET", "/history"),
    ("GET", "/logs"),
    ("GET", "/address"),
    ("POST", "/address/ask"),
    ("POST", "/ping"),
    ("POST", "/peers/auto"),
    ("POST", "/payments"),
    ("GET", "/payments"),
    ("GET", "/payments/received"),
    ("GET", "/payments/incoming"),
    ("GET", "/invoices"),
]
OWNER_DOES = [
    ("POST", "/accounts/alice/payments"),
    ("POST", "/accounts/alice/payments/quote"),
    ("GET", "/accounts/alice/payments/incoming"),
    ("POST", "/accounts/alice/invoices"),
]
"""What needs more than a token to be answered with 200."""
SOMEBODY = [
    ("GET", "/payments/none"),
    ("POST", "/payments/none/cancel"),
    ("GET", "/invoices/none"),
    ("POST", "/invoices/none/cancel"),
]
"""What whoever has a token may ask for, and finds where it is theirs."""


@pytest.mark.parametrize(("method", "path"), ADMIN_ONLY)
async def test_only_the_operator_may(
    api: ApiClient, bench: Bench, method: str, path: str
) -> None:
    await bench.add("alice", ilp_over_http_incoming_token=ALICE)

    for token in (None, "", "wrong", ADMIN[:-1], ADMIN + "x", ALICE):
        answer = await api.call(method, path, token=token)

        assert answer.status == 401
        assert "the token is missing or wrong" in answer.detail.lower()
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), OWNER)
@pytest.mark.parametrize(
    ("token", "may"),
    [(ADMIN, True), (ALICE, True), (BOB, False), ("wrong", False), (None, False)],
)
async def test_the_operator_and_the_account_s_own_user_may(
    api: ApiClient, bench: Bench, method: str, path: str, token: str | None, may: bool
) -> None:
    await bench.add("alice", ilp_over_http_incoming_token=ALICE)
    await bench.add("bob", ilp_over_http_incoming_token=BOB)

    answer = await api.call(method, path, {} if method == "PUT" else None, token=token)

    assert answer.status == (200 if may else 401)


@pytest.mark.parametrize(("method", "path"), OWNER_DOES + SOMEBODY)
async def test_what_is_an_account_s_own_is_nobody_else_s(
    api: ApiClient, bench: Bench, method: str, path: str
) -> None:
    await bench.add("alice", ilp_over_http_incoming_token=ALICE)
    await bench.add("bob", ilp_over_http_incoming_token=BOB)

    for token in (None, "", "wrong", ADMIN + "x"):
        assert (await api.call(method, path, {}, token=token)).status == 401
    others = (await api.call(method, path, {}, token=BOB)).status
    assert others == (401 if path.startswith("/accounts") else 404)
    assert (await api.call(method, path, {}, token=ALICE)).status in {400, 404}


@pytest.mark.parametrize(("method", "path"), OPEN)
async def test_anybody_on_this_machine_may(api: ApiClient, method: str, path: str) -> None:
    assert (await api.call(method, path, token=None)).status == 200


async def test_every_call_of_the_application_stands_in_one_of_these_lists(bench: Bench) -> None:
    app = build_app(
        bench.control,
        ApiOptions(
            admin_token=Secret(ADMIN),
            account_by_token=lambda token: None,
            bind_host="127.0.0.1",
        ),
    )

    known = {
        (method, path.replace("/alice", "/{username}").replace("/none", "/{id}"))
        for method, path in ADMIN_ONLY + OWNER + OWNER_DOES + SOMEBODY
    }
    known = {
        (method, path.replace("/test.x", "/{prefix}").replace("/1/", "/{id}/"))
        for method, path in known
    }
    known = {
        (
            method,
            path.replace("/USD/EUR", "/{source}/{target}")
            .replace("/EUR/", "/{code}/")
            .replace("/bank", "/{name}")
            .replace("/7", "/{id}"),
        )
        for method, path in known
    }
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert served == known | set(OPEN)


@pytest.mark.parametrize("path", ["/accounts/alice", "/accounts/nobody"])
async def test_who_has_no_token_does_not_learn_whether_an_account_exists(
    api: ApiClient, bench: Bench, path: str
) -> None:
    await bench.add("alice", ilp_over_http_incoming_token=ALICE)
    await bench.add("bob", ilp_over_http_incoming_token=BOB)

    answers = [
        await api.call(method, path + tail, token=token)
        for method, tail in [("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/balance")]
        for token in (None, BOB)
    ]

    assert {answer.status for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


async def test_a_token_is_a_bearer_token(api: ApiClient) -> None:
    for header in (f"Basic {ADMIN}", ADMIN, f"Bearer{ADMIN}", f"XXXXXXX{ADMIN}"):
        answer = await api.get("/status", token=None, headers={"Authorization": header})
        assert answer.status == 401
    answer = await api.get("/status", token=None, headers={"Authorization": f"bearer  {ADMIN}"})
    assert answer.status == 200


async def test_routes_are_the_operator_s_where_other_machines_can_ask(bench: Bench) -> None:
    async with serve(bench.control, bench, bind_host="0.0.0.0") as api:
        assert (await api.get("/routes", token=None)).status == 401
        assert (await api.get("/routes")).status == 200
        assert (await api.get("/", token=None)).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:7770", 200),
        ("[::1]:7770", 200),
        ("localhost", 200),
        ("node.localhost:7770", 200),
        ("192.168.1.7:7770", 200),
        ("pages.example", 421),
        ("rebound.evil.example:7770", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
async def test_a_name_that_somebody_pointed_here_is_not_served(
    api: ApiClient, host: str, status: int
) -> None:
    answer = await api.get("/status", headers={"Host": host})

    assert answer.status == status


async def test_a_name_that_the_operator_gave_is_served(bench: Bench) -> None:
    async with serve(bench.control, bench, hosts=("node.example",)) as api:
        assert (await api.get("/", headers={"Host": "Node.Example:443"})).status == 200
        assert (await api.get("/", headers={"Host": "other.example"})).status == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "x"])
async def test_a_web_page_of_another_place_may_not_call(api: ApiClient, origin: str) -> None:
    answer = await api.put("/rates", {"ABC": 1}, headers={"Origin": origin})

    assert answer.status == 403
    assert (await api.get("/rates")).json == {}


async def test_no_answer_is_kept_and_none_tells_of_what_it_is_made(api: ApiClient) -> None:
    for path in ("/", "/nowhere", "/status"):
        headers = (await api.get(path, token=None)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Server"] == "Signalbox"
        assert "Access-Control-Allow-Origin" not in headers


# --- What is refused, and nothing lost


@pytest.mark.parametrize(
    ("text", "headers", "status", "sentence"),
    [
        ("{}", {"Content-Type": "text/plain"}, 415, "this call takes application/json"),
        (
            "{}",
            {"Content-Type": "application/x-www-form-urlencoded"},
            415,
            "takes application/json",
        ),
        ("", {"Content-Type": "application/json"}, 400, "no JSON"),
        ("{", {"Content-Type": "application/json"}, 400, "no JSON"),
        ("[]", {"Content-Type": "application/json"}, 400, "not an object"),
        ("7", {"Content-Type": "application/json"}, 400, "not an object"),
        ('{"a": NaN}', {"Content-Type": "application/json"}, 400, "NaN is no number"),
        ('{"a": 1, "a": 2}', {"Content-Type": "application/json"}, 400, "'a' stands in one"),
        ("[" * 17, {"Content-Type": "application/json"}, 400, "nested too deeply"),
        ('{"a":' * 50_000, {"Content-Type": "application/json"}, 400, "nested too deeply"),
        ('{"\\"":' + "[" * 200_000, {"Content-Type": "application/json"}, 400, "too deeply"),
        (
            ('{"∀": ' + "[" * 99).encode("utf-16-le"),
            {"Content-Type": "application/json"},
            400,
            "no JSON",
        ),
        ('{"a": "é"}'.encode("latin-1"), {"Content-Type": "application/json"}, 400, "no UTF-8"),
        ("9" * 10_000, {"Content-Type": "application/json"}, 400, "no JSON"),
        (b"\xff\xfe{", {"Content-Type": "application/json"}, 400, "no JSON"),
        (
            '{"username": "bob"}',
            {"Content-Type": "application/json"},
            400,
            "asset_code: it is missing",
        ),
        (
            '{"username": "bob", "asset_code": "X", "asset_scale": 1, "colour": "blue"}',
            {"Content-Type": "application/json"},
            400,
            "colour: an account has no such field",
        ),
    ],
)
async def test_a_body_that_cannot_be_says_why(
    api: ApiClient, text: str | bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    answer = await api.post("/accounts", text=text, headers=headers)

    assert answer.status == status
    assert sentence in answer.detail
    assert (await api.get("/accounts")).json == []


async def test_every_field_of_a_body_that_cannot_be_is_told_at_once(api: ApiClient) -> None:
    body = {"username": 5, "asset_code": "USD", "min_balanse": 1, "settle_to": "x", "qqqq": 1}

    answer = await api.post("/accounts", body)

    assert answer.status == 400
    reasons = {fault["name"]: fault["reason"] for fault in answer.json["invalid-params"]}
    assert reasons == {
        "username": "it is text, not 5",
        "min_balanse": "an account has no such field; did you mean min_balance?",
        "settle_to": "it is a whole number in the asset's smallest unit, not 'x'",
        "qqqq": "an account has no such field",
        "asset_scale": "it is missing, and every account needs it",
    }
    await api.post("/accounts", {"username": "bob", "asset_code": "USD", "asset_scale": 2})
    changed = await api.put("/accounts/bob", {"lable": "Bob", "username": None})
    reasons = {fault["name"]: fault["reason"] for fault in changed.json["invalid-params"]}
    assert reasons == {
        "lable": "an account has no such field; did you mean label?",
        "username": "it cannot be cleared, every account needs it",
    }


async def test_nesting_never_ends_the_process_whatever_the_recursion_limit(
    api: ApiClient,
) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        answer = await api.post(
            "/accounts", text="[" * 250_000, headers={"Content-Type": "application/json"}
        )
    finally:
        sys.setrecursionlimit(before)

    assert answer.status == 400


async def test_brackets_within_texts_are_no_nesting(api: ApiClient) -> None:
    answer = await api.post("/accounts", {**ACCOUNT, "notes": '[[{"\\' * 100})

    assert answer.status == 200
    assert answer.json["notes"] == '[[{"\\' * 100


async def test_a_body_that_is_too_long_is_not_read_to_its_end(api: ApiClient) -> None:
    answer = await api.post(
        "/accounts",
        text=b" " * (300 * 1024),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status == 413
    assert "larger than this call takes" in answer.detail


async def test_a_duplicate_is_409_and_changes_nothing(api: ApiClient) -> None:
    first = (await api.post("/accounts", ACCOUNT)).json

    second = await api.post("/accounts", {**ACCOUNT, "username": "ALICE", "asset_scale": 2})

    assert second.status == 409
    assert second.detail == "Another account already has the username 'alice'."
    assert (await api.get("/accounts")).json == [first]


async def test_a_fault_names_its_field_for_programs(api: ApiClient) -> None:
    answer = await api.post("/accounts", {**ACCOUNT, "asset_scale": 300})

    assert answer.status == 400
    assert answer.detail.startswith("asset_scale: 300 was found; it needs 0 to 255")
    (found,) = answer.json["invalid-params"]
    assert found["name"] == "asset_scale"


async def test_every_fault_is_told_at_once(api: ApiClient) -> None:
    answer = await api.post(
        "/accounts", {**ACCOUNT, "username": "x", "asset_scale": 300, "max_packet_amount": 0}
    )

    assert answer.status == 400
    names = [found["name"] for found in answer.json["invalid-params"]]
    assert names == ["username", "asset_scale", "max_packet_amount"]
    assert all(f"{name}: " in answer.detail for name in names)


async def test_who_is_not_there_is_404_in_interledger_rs_s_words(api: ApiClient) -> None:
    answer = await api.get("/accounts/nobody")

    assert answer.status == 404
    assert answer.json["type"].endswith("/accounts/account-not-found")
    assert answer.detail == "There is no account 'nobody'."


async def test_a_call_that_is_none_says_so(api: ApiClient) -> None:
    assert "There is no call /nowhere" in (await api.get("/nowhere")).detail
    wrong = await api.post("/rates", {})
    assert wrong.status == 405
    assert wrong.detail == "/rates answers GET, HEAD, PUT, not POST."
    assert wrong.headers["Allow"] == "GET, HEAD, PUT"


@pytest.mark.parametrize(
    "rates", [{"ABC": 0}, {"ABC": "x"}, {"ABC": None}, {"ABC": -1}, {"ABC": True}]
)
async def test_a_rate_that_cannot_be_changes_nothing(
    api: ApiClient, rates: dict[str, Any]
) -> None:
    await api.put("/rates", {"ABC": 1})

    assert (await api.put("/rates", rates)).status == 400
    assert (await api.get("/rates")).json == {"ABC": 1.0}


@pytest.mark.parametrize("spread", ["1", "-0.1", "x", "1/0", "1e-3", "0." + "1" * 70, ""])
async def test_a_spread_that_cannot_be_changes_nothing(api: ApiClient, spread: str) -> None:
    assert (await api.put("/rates/spread", text=spread)).status == 400
    assert (await api.get("/rates/exact")).json["spread"] == "0"


async def test_no_answer_no_error_and_no_line_of_the_log_has_a_token_in_it(
    api: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    outgoing = "outgoing-token-of-alice"
    body = {**ACCOUNT, "ilp_over_http_outgoing_token": outgoing}
    answers = [
        await api.post("/accounts", body),
        await api.post("/accounts", body),
        await api.post("/accounts", {**body, "username": "bob"}),
        await api.post("/accounts", {**body, "username": "carol", "asset_scale": 999}),
        await api.post("/accounts/check", body),
        await api.get("/accounts"),
        await api.get("/overview"),
        await api.put(
            "/accounts/alice", {"ilp_over_http_incoming_token": f"{ALICE} {outgoing}"}
        ),
    ]

    said = [*(answer.text for answer in answers), caplog.text]
    for text in said:
        assert ALICE not in text
        assert outgoing not in text
        assert ADMIN not in text


class _Broken:
    """A door behind which everything fails in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        async def fail(*_arguments: Any, **_options: Any) -> Any:
            raise self.error

        return fail


@pytest.mark.logs_warning
async def test_a_store_that_cannot_be_used_is_503(bench: Bench) -> None:
    broken: Any = _Broken(StoreUnavailable("the database is locked by another program"))
    async with serve(broken, bench) as api:
        answer = await api.get("/accounts")

        assert answer.status == 503
        assert answer.detail == "The database is locked by another program."
        assert answer.headers["Retry-After"] == "1"


@pytest.mark.logs_warning
async def test_what_nobody_thought_of_is_500_and_says_nothing_of_the_inside(
    bench: Bench,
) -> None:
    broken: Any = _Broken(RuntimeError("secret inside"))
    async with serve(broken, bench) as api:
        answer = await api.get("/accounts")

        assert answer.status == 500
        assert answer.detail == "Something failed inside the node; its log says what."
