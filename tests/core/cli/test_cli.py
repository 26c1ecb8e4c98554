"""The command line against a node's API on a real socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from core.account import Secret
from core.cli.__main__ import run
from core.cli.client import PIECE_OCTETS, Credentials, HttpNode
from core.cli.examples import EXAMPLES
from core.cli.parser import build_parser
from core.cli.tables import facts, table
from core.control.node_warnings import NodeWarning, Topic
from core.control.operator import Operator
from core.links.control_http import ApiOptions, build_app
from core.packet import ErrorCode, Reject
from core.payments.records import Ending, PaymentState, Progress
from core.service import IncomingRequest
from core.telemetry.peer_time import ClockReading
from core.testing.builders import FULFILLMENT, prepare as packet_of
from tests.core.control.archive import Archive
from tests.core.control.bench import Bench, make_bench
from tests.core.control.test_payments import begin, prepare, sending
from tests.core.routing.network import told, way

TOKEN = "admin-token-of-the-tests"


@final
@dataclass(frozen=True, slots=True)
class Ran:
    """What a command wrote, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@final
class Shell:
    """Runs commands beside the node, as a user would in another window."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.environment = {
            "SIGNALBOX_NODE_URL": url,
            "SIGNALBOX_ADMIN_TOKEN": TOKEN,
            "SIGNALBOX_STORE": "memory:",
        }

    async def run(self, *arguments: str, without: str = "") -> Ran:
        environment = {k: v for k, v in self.environment.items() if k != without}
        out, err = io.StringIO(), io.StringIO()
        code = await asyncio.to_thread(run, list(arguments), environment, out, err)
        return Ran(code, out.getvalue(), err.getvalue())

    async def ok(self, *arguments: str) -> str:
        """Run a command that must succeed, and return what it wrote."""
        ran = await self.run(*arguments)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran.out


@pytest.fixture
async def bench() -> Bench:
    return await make_bench()


@contextlib.asynccontextmanager
async def serving(operator: Operator) -> AsyncIterator[Shell]:
    options = ApiOptions(
        admin_token=Secret(TOKEN), account_by_token=lambda token: None, bind_host="127.0.0.1"
    )
    async with TestServer(build_app(operator, options), host="127.0.0.1") as server:
        yield Shell(str(server.make_url("")))


@pytest.fixture
async def shell(bench: Bench) -> AsyncIterator[Shell]:
    async with serving(bench.control) as made:
        yield made


async def create(shell: Shell, username: str, *options: str) -> str:
    return await shell.ok(
        "accounts", "create", username, "--asset-code", "USD", "--asset-scale", "2", *options
    )


def fact(shown: str, name: str) -> str:
    """Return what a listing of facts says of one."""
    (value,) = re.findall(rf"^{name} +(.*)$", shown, re.MULTILINE)
    return str(value)


async def test_the_node_s_status_is_shown(shell: Shell, bench: Bench) -> None:
    assert "ilp_address         test.node\n" in await shell.ok("status")

    bench.problems.append("The store cannot be used.")
    ran = await shell.run("status")
    assert ran.code == 1
    assert "problem: The store cannot be used.\n" in ran.out


async def test_the_clock_and_what_is_unsafe_are_part_of_the_status(bench: Bench) -> None:
    known = replace(
        bench.sources.facts,
        clock_reading=lambda: ClockReading(
            offset_ms=-5_012, bound_ms=40, peers=("alice", "bob"), told_at_ms=1_000
        ),
        warnings=lambda: (NodeWarning(Topic.SECRETS, "It can be\x1b[2J guessed."),),
    )
    async with serving(bench.control_with(facts=known)) as shell:
        shown = await shell.ok("status")
        assert fact(shown, "clock") == "−5.0 s, give or take 40 ms, by 2 peers"
        assert "warning: This machine's clock is 5.0 s behind" in shown
        assert "warning: It can be�[2J guessed.\n" in shown
    async with serving(bench.control) as shell:
        assert fact(await shell.ok("status"), "clock").startswith("not known: no peer")


async def test_an_account_is_created_shown_changed_and_deleted(shell: Shell) -> None:
    made = await create(
        shell, "Bob", "--min-balance", "-10000", "--ilp-over-http-incoming-token", "t" * 20
    )
    assert made.startswith("bob was added, at test.node.bob\nbob may owe you up to 100.00 USD")
    assert made.count("\n") <= 5, "what matters, and not every field"
    shown = await shell.ok("accounts", "info", "bob")
    assert fact(shown, "min_balance") == "-100.00 USD"
    assert fact(shown, "ilp_over_http_incoming_token") == "SECRET"
    assert "settle_threshold" not in shown, "what is not set is left out"

    await shell.ok("accounts", "update", "bob", "--label", "Bob's Bank", "--min-balance", "-5")
    await shell.ok("accounts", "update-settings", "bob", "--settle-threshold", "100")
    shown = await shell.ok("accounts", "info", "bob")
    assert fact(shown, "label") == "Bob's Bank"
    assert fact(shown, "settle_threshold") == "1.00 USD"

    await shell.ok("accounts", "update", "bob", "--min-balance", "")
    assert "none: it may owe you without limit" in await shell.ok("accounts", "info", "bob")
    await shell.ok("accounts", "update", "bob", "--new-username", "robert")
    assert await shell.ok("accounts", "delete", "robert") == "robert was deleted\n"
    assert await shell.ok("accounts", "list") == "none\n"


async def test_what_an_account_probably_does_not_mean_is_said_when_it_is_created(
    shell: Shell,
) -> None:
    made = await create(shell, "bob", "--settlement-engine-url", "signalbox:etherium")

    assert "warning: settlement_engine_url: no engine called etherium" in made
    assert "did you mean signalbox:ethereum?" in made
    ran = await shell.run(
        "accounts", "create", "eve", "--asset-code", "USD", "--asset-scale", "2", "--json"
    )
    assert ran.json["username"] == "eve"


async def test_limits_spread_and_routes_are_set_and_cleared(shell: Shell) -> None:
    await create(
        shell, "bob", "--amount-burst-limit", "500", "--spread", "0.5%", "--send-routes", "yes",
        "--receive-routes", "no", "--import-prefixes", "test.far, g", "--route-weight", "-2",
    )  # fmt: skip
    made = await shell.ok("accounts", "info", "bob")
    found = {
        name: fact(made, name)
        for name in (
            "amount_burst_limit", "spread", "send_routes", "receive_routes", "import_prefixes",
            "route_weight",
        )
    }  # fmt: skip
    assert found == {
        "amount_burst_limit": "5.00 USD",
        "spread": "0.005",
        "send_routes": "yes",
        "receive_routes": "no",
        "import_prefixes": "g, test.far",
        "route_weight": "-2",
    }

    cleared = await shell.ok(
        "accounts", "update", "bob", "--spread", "", "--send-routes", "", "--import-prefixes", "",
    )  # fmt: skip
    assert [fact(cleared, name) for name in ("spread", "send_routes", "import_prefixes")] == [
        "-",
        "-",
        "-",
    ]
    assert fact(await shell.ok("accounts", "info", "bob"), "receive_routes") == "no"


async def test_accounts_are_listed_with_what_is_owed(shell: Shell, bench: Bench) -> None:
    await create(shell, "bob")
    await create(shell, "alice")
    await bench.pay("alice", "bob", 1_240)

    assert await shell.ok("accounts", "list") == (
        "ACCOUNT         NET  IN WORDS                  LINK             FULFILLED  REJECTED  LAST REJECT\n"
        "alice    -12.40 USD  alice owes you 12.40 USD  never connected          0         0  -\n"
        "bob       12.40 USD  you owe bob 12.40 USD     never connected          0         0  -\n"
    )
    balance = await shell.ok("balance", "bob")
    assert balance.startswith("you owe bob 12.40 USD\n\nnet ")
    assert await shell.ok("accounts", "balance", "bob") == balance
    ran = await shell.run("accounts", "delete", "bob")
    assert ran.code == 1
    assert "you owe it 12.40 USD" in ran.err
    await shell.ok("accounts", "delete", "bob", "--even-with-balance")


async def test_an_account_is_checked_paused_resumed_and_corrected(shell: Shell) -> None:
    check = await shell.ok(
        "accounts", "check", "bob", "--asset-code", "USD", "--asset-scale", "2",
        "--max-packet-amount", "0",
    )  # fmt: skip
    assert check.startswith("problem: max_packet_amount: 0 was found")
    await create(shell, "bob")

    assert fact(await shell.ok("accounts", "pause", "bob"), "enabled") == "no"
    assert fact(await shell.ok("accounts", "resume", "bob"), "enabled") == "yes"
    corrected = await shell.ok("accounts", "correct", "bob", "500", "--reason", "in cash")
    assert corrected == "you owe bob 5.00 USD\n"
    negative = await shell.ok("accounts", "correct", "--reason", "back", "bob", "--", "-500")
    assert negative == "you and bob are even\n"


async def test_a_ping_s_exit_code_says_whether_it_was_answered(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "bob", "--ilp-over-http-url", "http://127.0.0.1:1/")

    assert await shell.ok("ping", "bob") == "bob answered in 0.0 ms.\n"
    bench.link.fake.reply = bench.node.address.reject(ErrorCode.PEER_UNREACHABLE, "not there.")
    ran = await shell.run("accounts", "ping", "bob")
    assert (ran.code, ran.out) == (1, "bob did not answer: not there.\n")


async def test_route_exchange_is_shown_and_asked_for(shell: Shell, bench: Bench) -> None:
    await create(shell, "bob", "--routing-relation", "Peer", "--ilp-address", "test.bob")
    account = bench.node.directory.by_username("bob")
    assert account is not None
    await bench.node.exchange.take_update(
        account,
        told(way("test.x", "test.bob"), way("g.x", "test.bob"), speaker="test.bob").encode(),
    )

    peers = await shell.ok("routes", "peers")
    assert peers.splitlines()[0].split() == [
        "ACCOUNT", "RELATION", "STATE", "LEARNED", "USED", "TOLD", "REFUSED", "LAST", "HEARD",
    ]  # fmt: skip
    assert "bob      Peer      catching up        1     1     0        1  20" in peers
    assert "bob: 1 of its routes was not taken" in peers
    why = await shell.ok("routes", "why", "test.x.shop")
    assert why.startswith("test.x.shop is covered by test.x, and bob gets it")
    assert "*  bob       learned       0  test.bob  It is the only one." in why
    assert (await shell.run("routes", "why", "test.nowhere")).code == 1
    changes = await shell.ok("routes", "changes")
    assert "bob    test.bob  Bob told it.\n" in changes
    assert await shell.ok("routes", "ask", "bob") == "bob was asked for its routes.\n"


async def test_routes_are_set_listed_and_removed(shell: Shell) -> None:
    await create(shell, "bob")

    assert await shell.ok("routes", "set", "test.far", "--destination", "bob") == (
        "test.far leads to bob\n"
    )
    await shell.ok("routes", "set-default", "bob")
    assert await shell.ok("routes", "list") == (
        "PREFIX         NEXT HOP  SOURCE\n"
        "(default)      bob       default\n"
        "test.far       bob       static\n"
        "test.node.bob  bob       account\n"
    )
    await shell.ok("routes", "delete", "test.far")
    await shell.ok("routes", "clear-default")
    done = await shell.ok(
        "routes", "set-all", "--pair", "test.x", "bob", "--pair", "test.y", "bob"
    )
    assert done == "there are 2 static routes now\n"
    assert await shell.ok("routes", "set-all") == "there are 0 static routes now\n"


async def test_it_is_explained_where_a_packet_would_go(shell: Shell) -> None:
    await create(shell, "alice", "--min-balance", "-100")
    await create(shell, "bob")

    said = await shell.ok("explain", "test.node.bob.x", "--amount", "50", "--from", "alice")
    assert said.startswith(
        "0.50 USD from alice would go to bob, who would be given 0.50 USD.\n"
    )
    assert "router " in said
    ran = await shell.run("explain", "test.node.bob.x", "--amount", "101", "--from", "alice")
    assert ran.code == 1
    assert "rejects  T04 " in ran.out


async def test_rates_are_exact(shell: Shell) -> None:
    said = await shell.ok(
        "rates", "set-all", "--pair", "USD", "1", "--pair", "EUR", "1.0700000000000000000000001"
    )
    assert said == (
        "ASSET                        PRICE\n"
        "EUR    1.0700000000000000000000001\n"
        "USD                              1\n"
        "spread 0\n"
    )
    assert "spread 1/100\n" in await shell.ok("rates", "set-spread", "0.01")
    assert await shell.ok("rates", "list") == said.replace("spread 0", "spread 1/100")


async def test_engines_and_settlements_are_shown(shell: Shell, bench: Bench) -> None:
    await create(shell, "alice")
    await create(shell, "bob", "--settlement-address", "0x" + "2" * 40)
    await bench.pay("alice", "bob", 1_240)
    assert await shell.ok("engines") == "none\n"
    await bench.start_engine()
    assert "signalbox:ethereum" in await shell.ok(
        "settlement-engines", "set-all", "--pair", "USD", "signalbox:ethereum"
    )
    assert "signalbox:ethereum" in await shell.ok("settlement-engines", "list")

    assert "ethereum runs on local test chain" in await shell.ok("engines")
    assert "12.40 USD" in await shell.ok("settlements", "due")
    said = await shell.ok("settle", "bob", "--amount", "1000")
    assert said.endswith(" was started: 10.00 USD to bob\n")
    listed = await shell.ok("settlements", "list", "--username", "bob", "--limit", "5")
    assert "10.00 USD  intent" in listed
    assert await shell.ok("settlements", "unmatched") == "none\n"
    ran = await shell.run("settlements", "assign", "0xaa", "bob")
    assert ran.code == 1


async def test_an_amount_that_cannot_be_is_told_by_its_option_and_its_unit(
    shell: Shell,
) -> None:
    await create(shell, "alice")
    pay = ("pay", "alice", "--to", "$bob.example")
    for arguments in (
        (*pay, "--amount", "10.50"),
        (*pay, "--amount", "10.50", "--quote"),
        ("invoices", "create", "alice", "--amount", "10.50"),
    ):
        ran = await shell.run(*arguments)
        assert ran.code == 1
        assert ran.err == (
            "signalbox-cli: --amount: it is a whole number in the smallest unit, not '10.50';"
            " in it 1050 is 10.50 USD.\n"
        )
    ran = await shell.run(*pay, "--deliver", "7", "--max", "0.5")
    assert "--max: " in ran.err
    assert "50 is 0.50 USD" in ran.err
    ran = await shell.run(*pay, "--deliver", "0.5")
    assert ran.err.startswith(
        "signalbox-cli: --deliver: it is a whole number in the receiver's"
    )
    ran = await shell.run("pay", "alice", "--to", "nobody", "--amount", "5")
    assert ran.err.startswith("signalbox-cli: --to: ")
    assert (
        "nobody"
        in (await shell.run("pay", "nobody", "--to", "$b.example", "--amount", "5")).err
    )


async def test_a_request_for_money_says_when_it_was_cancelled(shell: Shell) -> None:
    await create(shell, "alice")
    made = await shell.ok("invoices", "create", "alice", "--amount", "250")
    assert "cancelled at" not in made
    found = re.search(r"^id +(\S+)$", made, re.MULTILINE)
    assert found is not None

    cancelled = await shell.ok("invoices", "cancel", found[1])

    assert re.search(r"^cancelled at +\d{4}-\S+ \S+Z$", cancelled, re.MULTILINE)


async def test_what_a_payment_leaves_undecided_and_what_its_receiver_says_is_shown(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "alice")
    await create(shell, "bob")
    payment = await sending(bench)
    await prepare(bench, payment, 120)
    await bench.stores.payments.advance_payment(
        payment.number,
        Progress(
            violations=("it lied", "twice"),
            receipts={1: bytes(25) + b"\7" + bytes(32)},
            receiver_text="thanks",
        ),
    )
    other = await begin(bench, "other")
    await bench.stores.payments.end_payment(
        other.number,
        Ending(state=PaymentState.FAILED, reason=f"No.{' So it is.' * 30} Paid already."),
        Progress(),
    )
    await bench.crash()

    listed = await shell.ok("payments", "list")
    assert re.search(r"\bp\b.* 0\.00 USD +at least 0 EUR +1\.20 USD", listed)
    assert re.search(r"other.* failed +0\.00 USD +nothing +\S* +No\.", listed)
    assert " Paid already. " in await shell.ok("payments", "show", "other")
    assert "other" not in await shell.ok("payments", "list", "--undecided")
    said = await shell.ok("payments", "show", "p")
    for words in (
        "undecided               1.20 USD",
        "broken by the receiver  it lied; twice",
        "the receiver says       thanks",
        "receipt of stream 1     7 EUR, AAAA",
    ):
        assert words in said
    listed = await shell.ok("unknown", "list")
    assert re.search(r"1\.20 USD +test\.node\.bob\.token +\S+ \S+ +p\n", listed)
    assert re.search(r"p +alice +\$bob\.example +1\.20 USD\n", listed)


async def test_what_a_crash_left_of_a_peer_is_resolved_at_once(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "alice")
    await create(shell, "bob")
    for amount in (700, 5):
        await bench.prepare("alice", "bob", amount)
    await bench.crash()

    for faulty in (
        ["fulfilled"],
        ["1", "perhaps"],
        ["1", "fulfilled", "--peer", "bob"],
        ["1", "2", "fulfilled"],
    ):
        assert (await shell.run("unknown", "resolve", *faulty)).code == 2
    ran = await shell.run("unknown", "resolve", "--payment", "none", "fulfilled")
    assert ran.code == 1
    resolved = await shell.ok("unknown", "resolve", "--peer", "bob", "not-fulfilled")
    assert resolved == (
        "2 transfers, 7.05 USD together: not fulfilled, so nothing is owed for that\n"
    )
    resolved = await shell.ok("unknown", "resolve", "fulfilled", "--peer", "bob")
    assert resolved == "nothing of that is undecided\n"
    assert await shell.ok("unknown", "list") == "none\n"


async def test_the_books_are_audited_and_what_a_crash_left_is_resolved(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "alice")
    await create(shell, "bob")
    transfer = await bench.prepare("alice", "bob", 700)
    other = await bench.prepare("alice", "bob", 500)
    await bench.crash()

    listed = await shell.ok("unknown", "list")
    assert str(transfer) in listed
    assert re.match(r"BY PEER +UNDECIDED\nbob +12\.00 USD\n\n +ID ", listed)
    resolved = await shell.ok("unknown", "resolve", str(other), "fulfilled")
    assert resolved == (
        f"transfer {other} was fulfilled: what it carried is owed to the peer,"
        " and its sender is not charged\n"
    )
    assert (await shell.ok("balance", "bob")).startswith("you owe bob 5.00 USD\n")
    assert (await shell.ok("balance", "alice")).startswith("you and alice are even\n")
    ran = await shell.run("unknown", "resolve", str(other), "not-fulfilled")
    assert ran.code == 1
    assert "it is owed to the peer already" in ran.err
    resolved = await shell.ok("unknown", "resolve", str(transfer), "not-fulfilled")
    assert resolved == f"transfer {transfer} was not fulfilled: nothing is owed for it\n"
    assert (await shell.ok("audit")).endswith("the books hold\n")
    assert re.search(
        r"^USD +0\.00 USD +5\.00 USD +0\.00 USD", await shell.ok("exposure"), re.MULTILINE
    )


async def test_the_audit_says_what_was_lost_by_late_fulfillments(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "alice")
    await create(shell, "bob")
    late = await bench.prepare("alice", "bob", 700)
    assert "too late" not in await shell.ok("audit")

    await bench.stores.books.fulfill_late(late, FULFILLMENT)

    said = await shell.ok("audit")
    assert "fulfilled too late: 1, and what is owed for that is a loss\n" in said
    assert said.endswith("\n1 transfer, 2 accounts: the books hold\n")


async def test_traffic_and_log_are_shown_and_the_level_is_set(
    shell: Shell, bench: Bench
) -> None:
    assert await shell.ok("packets") == "none\n"
    assert await shell.ok("history", "--seconds", "60") == "none\n"
    assert await shell.ok("logs") == ""
    assert await shell.ok("logs", "debug") == "Logging level changed to: debug\n"
    assert bench.log.level == "debug"


async def test_a_packet_is_listed_with_its_transfer_which_tells_its_rate(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "alice")
    await shell.ok("accounts", "create", "bob", "--asset-code", "EUR", "--asset-scale", "2")
    await shell.ok("rates", "set-all", "--pair", "EUR", "1.25", "--pair", "USD", "1")
    await shell.ok("rates", "set-spread", "1%")
    alice = bench.node.directory.by_username("alice")
    assert alice is not None
    packet = packet_of(1_000, now_ms=bench.clock.now_ms())
    await bench.node.incoming.handle(IncomingRequest(alice, packet))
    (listed,) = (await shell.run("packets", "--json")).json

    shown = await shell.ok("packets")
    told = await shell.ok("rates", "of-packet", listed["transfer"])

    assert listed["transfer"] in shown.splitlines()[1].split()
    sentence, since, *prices = told.splitlines()
    assert sentence == (
        "It was converted at 4/5 smallest units for one, less a spread of 0.01, by the prices 1."
    )
    assert since.startswith("in force since 20")
    assert [line.split()[:2] for line in prices[1:]] == [["EUR", "1.25"], ["USD", "1"]]


@pytest.mark.logs_warning
async def test_a_table_of_payments_comes_piece_by_piece_and_says_when_it_is_not_whole(
    bench: Bench,
) -> None:
    await bench.add("alice")
    await begin(bench)
    row = await bench.control.payment("p")
    whole = Archive(bench.control, row, pages=1_500)
    async with serving(cast("Operator", whole)) as shell:
        pieces: list[str] = []
        node = HttpNode(shell.url, Credentials(Secret(TOKEN)))
        asked = {"format": "csv"}
        await asyncio.to_thread(node.copy, "payments", query=asked, write=pieces.append)
        assert len("".join(pieces).splitlines()) == 1 + 1_500
        assert max(map(len, pieces)) <= PIECE_OCTETS < len("".join(pieces))
        assert (await shell.ok("payments", "list", "--csv")) == "".join(pieces)

    broken = Archive(bench.control, row, pages=10, broken_at=5)
    async with serving(cast("Operator", broken)) as shell:
        ran = await shell.run("payments", "list", "--csv")
        assert (ran.code, ran.err) == (
            3,
            f"signalbox-cli: the node at {shell.url} broke off: what came is not all of it\n",
        )
        assert len(ran.out.splitlines()) == 1 + 5
        ran = await shell.run("payments", "list", "--csv", "--before", "5")
        assert (ran.code, ran.out, "broke off" in ran.err) == (1, "", False)


async def test_a_table_that_is_shorter_than_it_was_said_to_be_is_not_whole() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nid,created\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        ran = await Shell(f"http://127.0.0.1:{port}").run("payments", "list", "--csv")

    assert (ran.code, ran.out) == (3, "id,created\r\n")
    assert "broke off" in ran.err


async def test_programs_get_the_node_s_own_json(shell: Shell) -> None:
    await create(shell, "bob")

    before, behind = (
        await shell.run("--json", "accounts", "info", "bob"),
        await shell.run("accounts", "info", "bob", "--json"),
    )

    assert before.json["username"] == behind.json["username"] == "bob"
    assert (await shell.run("accounts", "list", "--json")).json[0]["net"] == "0"


# --- What can go wrong


async def test_what_the_node_refuses_is_one_sentence_and_1(shell: Shell) -> None:
    ran = await shell.run("accounts", "info", "nobody")

    assert ran == Ran(1, "", "signalbox-cli: There is no account 'nobody'.\n")


async def test_who_is_nearly_named_rightly_is_suggested(shell: Shell) -> None:
    await create(shell, "alice")
    for command in (
        ["balance", "Alcie"],
        ["routes", "set", "test.x", "--destination", "alic"],
        ["accounts", "incoming-payments", "alcie"],
    ):
        ran = await shell.run(*command)

        assert (ran.code, ran.err.endswith("'. Did you mean alice?\n")) == (1, True), ran


async def test_no_node_is_3(shell: Shell) -> None:
    for url in ("http://127.0.0.1:1", "http://nobody.invalid"):
        ran = await shell.run("status", "--node", url)

        assert ran.code == 3
        assert ran.err.startswith(f"signalbox-cli: no node answers at {url}: ")
        assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["ping", ""], ["accounts", "delete", ""], ["payments", "incoming", ""]]
)
async def test_a_name_that_is_empty_is_2(shell: Shell, arguments: list[str]) -> None:
    ran = await shell.run(*arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "signalbox-cli: a name on the command line is empty\n"


@pytest.mark.parametrize("url", ["127.0.0.1:7770", "ftp://node", "http://", "http://[::1"])
async def test_what_is_no_url_is_2(shell: Shell, url: str) -> None:
    ran = await shell.run("status", "--node", url)

    assert ran.code == 2
    assert "is no URL of a node" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["accounts"],
        ["accounts", "create", "bob"],
        ["routes", "set", "test.x"],
        ["rates", "set-all", "--pair", "USD"],
        ["unknown", "resolve"],
    ],
)
async def test_a_command_line_that_cannot_be_is_2(shell: Shell, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        await shell.run(*arguments)

    assert ended.value.code == 2


async def test_a_mistyped_command_is_told_the_nearest(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, near in (
        (["statsu"], "there is no 'statsu'; did you mean status?; "),
        (["accounts", "lsit"], "there is no 'lsit'; did you mean list?; "),
        (["zzz"], "invalid choice: 'zzz' (choose from "),
    ):
        with pytest.raises(SystemExit):
            await shell.run(*arguments)
        assert near in capsys.readouterr().err


async def test_what_a_command_line_lacks_is_said_in_one_line(
    shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        await shell.run("accounts", "create", "bob", "--asset-code", "USD")

    assert capsys.readouterr().err == (
        "signalbox-cli accounts create: the following arguments are required: --asset-scale;"
        " `signalbox-cli accounts create --help` says how\n"
    )


def test_each_command_has_an_example_that_can_be_run() -> None:
    parser = build_parser()
    for command, arguments in EXAMPLES.items():
        parsed = parser.parse_args(shlex.split(f"{command} {arguments}"))
        assert callable(parsed.run), command
    commands = dict(leaves(parser, ""))
    for command, leaf in commands.items():
        assert [a.dest for a in leaf._actions if not a.help] == [], f"{command} explains all"
        assert "example" in leaf.format_help(), command
    assert commands.keys() - EXAMPLES.keys() == {"pay"}, "which has several"
    assert not EXAMPLES.keys() - commands


def leaves(
    parser: argparse.ArgumentParser, path: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return every command that can be run, and its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from leaves(below, f"{path} {name}".strip())
            return
    yield path, parser


async def test_a_pair_that_stands_there_twice_is_2(shell: Shell) -> None:
    ran = await shell.run("rates", "set-all", "--pair", "USD", "1", "--pair", "USD", "2")

    assert (ran.code, ran.err) == (2, "signalbox-cli: USD stands there twice\n")


async def test_without_a_token_it_says_where_one_may_come_from(shell: Shell) -> None:
    ran = await shell.run("status", without="SIGNALBOX_ADMIN_TOKEN")

    assert ran.code == 1
    assert ran.err == (
        "signalbox-cli: this needs the operator's token, and none was found: give --auth or --auth-file, or set"
        " SIGNALBOX_ADMIN_TOKEN; a node leaves it in a file beside its store\n"
    )


async def test_a_wrong_token_is_told_and_not_repeated(shell: Shell) -> None:
    ran = await shell.run("status", "--auth", "not-the-token")

    assert ran.code == 1
    assert (
        "the token from --auth is not the operator's, nor this account's: give --auth"
        in ran.err
    )
    assert "not-the-token" not in ran.err
    shell.environment |= {
        "SIGNALBOX_ADMIN_TOKEN": "another",
        "SIGNALBOX_STORE": "sqlite:////somewhere/node.db",
    }
    ran = await shell.run("status")
    assert "the token from SIGNALBOX_ADMIN_TOKEN is not the operator's" in ran.err
    assert "beside its store, as /somewhere/node.db.admin-token\n" in ran.err
    assert (await shell.run("status", "--auth", "tökén")).code == 2


async def test_a_token_may_be_in_a_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")

    ran = await shell.run("status", "--auth-file", str(file), without="SIGNALBOX_ADMIN_TOKEN")
    missing = await shell.run("status", "--auth-file", str(tmp_path / "nothing"))

    assert ran.code == 0
    assert missing.code == 2
    assert "cannot be read: No such file" in missing.err


async def test_the_token_beside_the_store_is_used_for_this_machine_only(
    shell: Shell, tmp_path: Path
) -> None:
    store = tmp_path / "signalbox.db"
    store.with_name("signalbox.db.admin-token").write_text(TOKEN + "\n")
    shell.environment["SIGNALBOX_STORE"] = f"sqlite:///{store}"

    here = await shell.run("status", without="SIGNALBOX_ADMIN_TOKEN")
    elsewhere = await shell.run(
        "status",
        "--node",
        shell.url.replace("127.0.0.1", "0.0.0.0"),
        without="SIGNALBOX_ADMIN_TOKEN",
    )

    assert here.code == 0
    assert elsewhere.code == 1
    assert "needs the operator's token" in elsewhere.err
    # Another node's: the file that it is from is not what to look into.
    store.with_name("signalbox.db.admin-token").write_text("another\n")
    ran = await shell.run("status", without="SIGNALBOX_ADMIN_TOKEN")
    assert f"the token from {store}.admin-token is not the operator's" in ran.err
    assert ran.err.endswith("a node leaves it in a file beside its store\n")


Handler = Callable[[web.Request], Any]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (web.Response(text="<html>", content_type="text/html"), "another shape"),
        (web.Response(text="{", content_type="application/json"), "its JSON cannot be read"),
        (web.json_response([1]), "another shape"),
        (web.json_response({"problems": 1}), ""),
        (web.Response(status=502, text="<html>Bad Gateway"), "the answer was 502 Bad Gateway"),
        (web.json_response({"detail": 7}, status=500), "the answer was 500"),
    ],
)
async def test_another_program_that_answers_is_told_from_a_node(
    answer: web.Response, sentence: str
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_get("/status", handler)
    async with TestServer(app, host="127.0.0.1") as server:
        ran = await Shell(str(server.make_url(""))).run("status")

    assert ran.code == 1
    assert sentence in ran.err


# --- What is shown to people


def test_a_table_is_aligned_and_numbers_stand_at_the_right() -> None:
    assert table(
        ("name", "amount", "note"), [["bob", "5 USD", None], ["日本", "12.40 USD", "x"]]
    ) == ("NAME     AMOUNT  NOTE\nbob       5 USD  -\n日本  12.40 USD  x\n")
    assert table(("name", "problem"), [["bob", None]]) == "NAME  PROBLEM\nbob   -\n"


def test_what_a_terminal_would_obey_is_made_visible() -> None:
    evil = "\x1b[2Jgone\r\nnext\u202eline\x07"

    shown = facts({"said": evil, "none": None, "yes": True, "empty": ""})

    assert shown == "said   �[2Jgone��next�line�\nnone   -\nyes    yes\nempty  -\n"
    assert len(table(("a",), [["x" * 5_000]])) < 500


async def test_an_address_is_pinged_and_the_way_there_is_said(
    shell: Shell, bench: Bench
) -> None:
    bench.node.gate.open()
    await create(shell, "bob", "--ilp-address", "test.bob", "--routing-relation", "Peer")
    bench.link.fake.reply = Reject.build(
        ErrorCode.UNREACHABLE, triggered_by="test.bob", message="no pings here"
    )

    ran = await shell.run("ping", "test.bob", "--count", "2")

    assert (ran.code, ran.err) == (0, "")
    assert "1: test.bob is there and answered" in ran.out
    assert "test.bob answered 2 of 2 pings" in ran.out
    assert (await shell.run("ping", "test.nowhere")).code == 1
    assert "from: it is missing" in (await shell.run("ping", "bob", "--amount", "5")).err


async def test_this_node_s_address_and_its_parent_are_shown_and_asked(shell: Shell) -> None:
    assert "source          given\n" in await shell.ok("address", "show")

    ran = await shell.run("address", "ask")

    assert ran.code == 1
    assert "no parent is asked" in ran.err


async def test_an_offer_that_cannot_be_is_refused_before_it_is_sent(shell: Shell) -> None:
    ran = await shell.run(
        "auto-peer", "https://them.example/", "--asset-code", "", "--asset-scale", "999",
        "--our-url", "https://us.example",
    )  # fmt: skip

    assert ran.code == 1
    assert "asset_code" in ran.err


async def test_sources_of_rates_are_added_tested_looked_at_and_removed(
    shell: Shell, bench: Bench
) -> None:
    await create(shell, "alice")
    await shell.ok("accounts", "create", "bob", "--asset-code", "EUR", "--asset-scale", "4")
    bench.node.lease = (await bench.stores.leases.nodes())[0]
    await bench.node.elect()
    own = ("own", "--kind", "fixed", "--price", "EUR", "1.25")

    assert "own has 1 price in USD" in await shell.ok("rates", "test-source", *own)
    added = await shell.ok("rates", "add-source", *own)
    assert added == "own was added: It answered 0 s ago, with 1 price.\n"
    feed = await shell.ok("rates", "feed")
    assert re.search(r"^EUR +1\.25 +.*own +-$", feed, re.MULTILINE), feed

    await shell.ok("rates", "set-pair-spread", "USD", "EUR", "1%")
    converted = await shell.ok("rates", "convert", "100", "usd", "eur")
    assert converted == (
        "100.00 USD would become 79.20 EUR, at 0.8 EUR for one USD; 0.80 EUR of it would stay here,"
        " a spread of 0.01.\n"
    )
    await shell.ok("rates", "set-pair-spread", "USD", "EUR", "")
    await shell.ok("rates", "set-guard", "none", "0")
    await shell.ok("rates", "set-watched", "XRP")
    changed = await shell.ok("rates", "replace-source", "own", *own[1:-1], "1.3")
    assert changed == "own was changed: It answered 0 s ago, with 1 price.\n"
    listed = await shell.ok("rates", "snapshots")
    assert "EUR 1.3, USD 1" in listed
    assert "EUR 1.25, USD 1" in listed
    await shell.ok("rates", "remove-source", "own")
    ran = await shell.run("rates", "feed")
    assert ran.code == 1
    assert "problem: There is no price of EUR, in which an account counts" in ran.out


@pytest.mark.logs_warning
async def test_a_source_that_is_added_and_does_not_work_is_1(
    shell: Shell, bench: Bench
) -> None:
    bench.node.lease = (await bench.stores.leases.nodes())[0]
    await bench.node.elect()
    source = ("bad", "--kind", "ecb", "--url")

    for command, done in (("add-source", "added"), ("replace-source", "changed")):
        ran = await shell.run("rates", command, *source, f"file:///nowhere/{done}")

        assert (ran.code, ran.out.count("\n")) == (1, 1)
        assert ran.out.startswith(f"bad was {done}, and does not work: ")
    ran = await shell.run("rates", "replace-source", *source, "file:///x", "--disabled")
    assert (ran.code, ran.out) == (
        0,
        "bad was changed: It is switched off, and is not asked.\n",
    )


async def test_what_cannot_be_said_of_rates_is_refused_with_its_reason(shell: Shell) -> None:
    ran = await shell.run(
        "rates", "add-source", "bank", "--kind", "json", "--url", "http://x.example"
    )
    assert (ran.code, "it is not encrypted" in ran.err) == (1, True)
    ran = await shell.run("rates", "confirm-jump", "EUR")
    assert (ran.code, "jump of EUR is held" in ran.err) == (1, True)
    ran = await shell.run("rates", "of-packet", "77")
    assert (ran.code, "row of its own" in ran.err) == (1, True)
