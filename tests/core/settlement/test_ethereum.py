"""The ethereum engine on a real chain: true keys, signatures, blocks and receipts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from eth_account import Account as EthAccount

from core.errors import EngineStopped, LedgerRefused, LedgerUnreachable, SettingError
from core.settlement.chain import CHAIN_ID, IDLE_BLOCKS, ChainServer, Refused, TestChain
from core.settlement.engines.ethereum import (
    EthereumLedger,
    address_of,
    new_key,
    parse_address,
    parse_key,
)
from core.settlement.engines.ethereum_options import EthereumOptions
from core.settlement.engines.json_rpc import JsonRpc
from core.settlement.ledger import Payment
from core.settlement.records import Direction, SettlementState
from core.testing.clock import FakeClock
from tests.core.settlement.parties import GWEI, Party, peer

ETHER = 10**18
OPTIONS = EthereumOptions(confirmations=2)
ALICE_KEY, BOB_KEY, STRANGER_KEY = (bytes([number]) * 32 for number in (1, 2, 3))
ALICE, BOB, STRANGER = (address_of(key) for key in (ALICE_KEY, BOB_KEY, STRANGER_KEY))


class Node:
    """The chain behind HTTP, as its own process serves it."""

    def __init__(self, chain: TestChain, rpc: JsonRpc) -> None:
        self.chain = chain
        self.rpc = rpc

    def ledger(self, key: bytes, options: EthereumOptions = OPTIONS) -> EthereumLedger:
        return EthereumLedger(self.rpc, key, options)

    def pay(self, key: bytes, to: str, amount: int, *, nonce: int = 0) -> str:
        signed = EthAccount.from_key(key).sign_transaction(
            {
                "type": 2,
                "chainId": CHAIN_ID,
                "nonce": nonce,
                "to": to,
                "value": amount,
                "gas": 21_000,
                "maxFeePerGas": 3 * GWEI,
                "maxPriorityFeePerGas": GWEI,
            }
        )
        return self.chain.send(bytes(signed.raw_transaction))

    def count(self, address: str) -> int:
        return int(str(self.chain.answer("eth_getTransactionCount", [address])), 16)

    def balance(self, address: str) -> int:
        return int(str(self.chain.answer("eth_getBalance", [address])), 16)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def node(session: aiohttp.ClientSession) -> AsyncIterator[Node]:
    chain = TestChain(dict.fromkeys((ALICE, BOB, STRANGER), 1000 * ETHER))
    server = TestServer(ChainServer(chain, block_seconds=1).application())
    async with server:
        yield Node(chain, JsonRpc(session, str(server.make_url("/"))))


@pytest.fixture
async def alice(tmp_path: Path, clock: FakeClock, node: Node) -> AsyncIterator[Party]:
    url = f"sqlite:///{tmp_path}/alice/node.db"
    party = await Party.open(url, clock, node.ledger(ALICE_KEY), peer(BOB))
    yield party
    await party.stores.close()


@pytest.fixture
async def bob(tmp_path: Path, clock: FakeClock, node: Node) -> AsyncIterator[Party]:
    url = f"sqlite:///{tmp_path}/bob/node.db"
    party = await Party.open(url, clock, node.ledger(BOB_KEY), peer(ALICE.lower()))
    yield party
    await party.stores.close()


# --- Whole settlements --------------------------------------------------------------------------


async def test_a_debt_is_paid_on_the_chain_and_credited_on_the_other_side(
    alice: Party, bob: Party, node: Node
) -> None:
    await alice.owe(12_345)
    await alice.step()
    node.chain.mine()
    node.chain.mine()
    await alice.step()
    await bob.step()

    paid, credited = await alice.only(Direction.OUT), await bob.only(Direction.IN)
    assert (paid.state, paid.confirmations) == (SettlementState.FINAL, 2)
    assert credited.transaction == paid.transaction
    assert credited.ledger_amount == paid.ledger_amount == 12_345 * GWEI
    assert (await alice.balance()).net == 0
    assert (await bob.balance()).receivable == -12_345
    assert paid.fee is not None
    assert node.balance(ALICE) == 1_000 * ETHER - 12_345 * GWEI - paid.fee
    assert node.balance(BOB) == 1_000 * ETHER + 12_345 * GWEI
    (status,) = await alice.stores.settlements.engine_statuses()
    assert (status.ledger, status.address, status.head) == ("local test chain", ALICE, 2)


async def test_a_hundred_ether_are_more_than_64_bits_and_pass(
    alice: Party, bob: Party, node: Node
) -> None:
    await alice.owe(100 * 10**9)
    await alice.step()
    node.pay(STRANGER_KEY, BOB, 100 * ETHER)
    node.chain.mine()
    node.chain.mine()
    await alice.step()
    await bob.step()

    assert (await alice.only(Direction.OUT)).ledger_amount == 10**20
    assert (await bob.balance()).receivable == -100 * 10**9
    (unknown,) = await bob.stores.settlements.unmatched(limit=2)
    assert (unknown.sender, unknown.ledger_amount) == (STRANGER.lower(), 10**20)
    assert (await bob.stores.books.audit()).passed


async def test_a_dearer_attempt_replaces_one_that_waits_and_one_of_them_is_paid(
    alice: Party, node: Node
) -> None:
    await alice.owe(5_000)
    await alice.step()
    (first,) = await alice.stores.settlements.load_open(alice.engine.lease)
    node.pay(STRANGER_KEY, BOB, 1)  # the chain lives on
    for _ in range(3):
        alice.clock.advance(seconds=61)
        await alice.step()
    (bumped,) = await alice.stores.settlements.load_open(alice.engine.lease)
    node.chain.mine()
    node.chain.mine()
    await alice.step()

    fees = [one.fee_per_unit for one in bumped.attempts]
    tips = [one.tip_per_unit for one in bumped.attempts]
    assert len(fees) == 4
    assert bumped.nonce == first.nonce == 0
    for dearer, cheaper in [
        *zip(fees[1:], fees, strict=False),
        *zip(tips[1:], tips, strict=False),
    ]:
        assert dearer * 8 >= cheaper * 9
    settlement = await alice.only(Direction.OUT)
    assert settlement.state is SettlementState.FINAL
    assert settlement.transaction == bumped.attempts[-1].hash
    assert node.balance(BOB) == 1_000 * ETHER + 5_000 * GWEI + 1


@pytest.mark.parametrize("drop", [True, False])
async def test_a_shallow_reorganisation_changes_nothing(
    alice: Party, bob: Party, node: Node, drop: bool
) -> None:
    node.chain.mine()
    await alice.owe(5_000)
    await alice.step()
    node.chain.mine()
    await alice.step()
    await bob.step()
    assert (await alice.only(Direction.OUT)).confirmations == 1
    node.chain.reorganise(1, drop=drop)
    for _ in range(4):
        await alice.step()
        await bob.step()
        node.chain.mine()

    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL
    assert node.balance(BOB) == 1_000 * ETHER + 5_000 * GWEI
    assert (await bob.balance()).receivable == -5_000


@pytest.mark.logs_warning
async def test_a_deep_reorganisation_is_taken_back_and_made_good(
    alice: Party, bob: Party, node: Node
) -> None:
    for _ in range(3):
        node.chain.mine()
    await alice.step()
    await bob.step()
    await alice.owe(5_000)
    await alice.step()
    node.chain.mine()
    node.chain.mine()
    await alice.step()
    await bob.step()
    assert (await bob.balance()).receivable == -5_000

    node.chain.reorganise(2, drop=True)
    await bob.step()
    assert (await bob.balance()).receivable == 0
    for _ in range(4):
        await alice.step()
        await bob.step()
        node.chain.mine()

    assert (await alice.only(Direction.OUT)).state is SettlementState.FINAL
    assert (await bob.balance()).receivable == -5_000
    assert node.balance(BOB) == 1_000 * ETHER + 5_000 * GWEI
    for party in (alice, bob):
        assert (await party.stores.books.audit()).passed


async def test_another_user_of_the_key_is_noticed(alice: Party, node: Node) -> None:
    await alice.step()
    node.pay(ALICE_KEY, STRANGER, 1)
    node.chain.mine()

    with pytest.raises(EngineStopped, match="something else uses its key"):
        await alice.step()


# --- The ledger ---------------------------------------------------------------------------------


async def test_the_transaction_is_the_one_that_was_signed_and_may_be_sent_again(
    node: Node,
) -> None:
    ledger = node.ledger(ALICE_KEY)
    state = await ledger.state()
    plan = await ledger.plan(Payment(destination=BOB, amount=7), committed=0, replacing=None)
    attempt = ledger.sign(plan, 0, 0)
    await ledger.broadcast(attempt)
    with pytest.raises(LedgerRefused, match="already known"):
        await ledger.broadcast(attempt)
    node.chain.mine()
    with pytest.raises(LedgerRefused):
        await ledger.broadcast(attempt)

    receipt: Any = node.chain.answer("eth_getTransactionReceipt", [attempt.hash])
    assert receipt["status"] == "0x1"
    assert plan.work_limit == 21_000
    assert state.resets
    assert node.balance(BOB) == 1_000 * ETHER + 7


@pytest.mark.parametrize(
    ("destination", "amount", "options", "sentence"),
    [
        (BOB[:-1], 1, OPTIONS, "is not an Ethereum address"),
        ("bob", 1, OPTIONS, "is not an Ethereum address"),
        (BOB.swapcase().replace("0X", "0x"), 1, OPTIONS, "wrong checksum"),
        (BOB, 1_000 * ETHER, OPTIONS, "send it ETH"),
        (BOB, 999 * ETHER, replace(OPTIONS, reserve=2 * ETHER), "send it ETH"),
        (BOB, 1, replace(OPTIONS, fee_limit=GWEI), "our limit is 1.000000000 gwei"),
    ],
)
async def test_what_cannot_be_paid_is_told_before_anything_is_signed(
    node: Node, destination: str, amount: int, options: EthereumOptions, sentence: str
) -> None:
    ledger = node.ledger(ALICE_KEY, options)
    with pytest.raises(LedgerRefused, match=sentence):
        await ledger.plan(
            Payment(destination=destination, amount=amount), committed=0, replacing=None
        )


async def test_money_that_is_promised_is_not_promised_again(node: Node) -> None:
    ledger = node.ledger(ALICE_KEY)
    payment = Payment(destination=BOB, amount=600 * ETHER)
    await ledger.plan(payment, committed=0, replacing=None)

    with pytest.raises(LedgerRefused, match=r"has 39\d\.\d+ ETH to spend"):
        await ledger.plan(payment, committed=600 * ETHER, replacing=None)


async def test_the_scan_goes_on_in_bounded_steps_and_stops_at_a_block_that_is_another(
    node: Node,
) -> None:
    ledger = node.ledger(BOB_KEY)
    first = await ledger.block_at(0)
    assert first is not None
    for number in range(60):
        node.pay(STRANGER_KEY, BOB, number + 1, nonce=number)
        node.chain.mine()

    one = await ledger.scan(first, upto=60)
    two = await ledger.scan(one.upto, upto=60)  # type: ignore[union-attr]

    found = [*one.payments, *two.payments]  # type: ignore[union-attr]
    assert [one.ledger_amount for one in found] == list(range(1, 61))
    assert two.upto == await ledger.block_at(60)  # type: ignore[union-attr]
    other = await ledger.scan(replace(first, hash="0x" + "00" * 32), upto=60)
    assert not hasattr(other, "payments")


async def test_a_wallets_first_block_is_found_by_the_blocks_times(node: Node) -> None:
    ledger = node.ledger(BOB_KEY)
    for _ in range(20):
        node.chain.mine()
    times = [int(node.chain._blocks[n].block["timestamp"], 16) for n in range(21)]

    assert (await ledger.block_before(0)).number == 0
    for number in (1, 7, 20):
        at_ms = (times[number] + 3_600) * 1000
        assert (await ledger.block_before(at_ms)).number == number - 1
    assert (await ledger.block_before(times[20] * 1000 + 7_200_000)).number == 20


async def test_what_we_send_ourselves_is_no_income(node: Node) -> None:
    ledger = node.ledger(ALICE_KEY)
    first = await ledger.block_at(0)
    assert first is not None
    node.pay(ALICE_KEY, ALICE, 5)
    node.chain.mine()

    found = await ledger.scan(first, upto=1)
    assert found.payments == []  # type: ignore[union-attr]


async def test_a_balance_of_an_earlier_block_is_known_or_none(node: Node) -> None:
    ledger = node.ledger(BOB_KEY)
    node.pay(STRANGER_KEY, BOB, 5)
    node.chain.mine()

    assert await ledger.balance_at(0) == 1_000 * ETHER
    assert await ledger.balance_at(1) == 1_000 * ETHER + 5


# --- Keys and addresses -------------------------------------------------------------------------


def test_a_key_is_read_from_hexadecimal_and_its_error_does_not_repeat_it() -> None:
    key = new_key()
    assert parse_key(f" 0x{key.hex()}\n") == parse_key(key.hex().upper()) == key

    for wrong in (key.hex()[:-1], key.hex() + "0", "g" * 64, "00" * 32, "ff" * 32):
        with pytest.raises(SettingError) as caught:
            parse_key(wrong)
        assert wrong not in str(caught.value)


def test_an_address_is_taken_in_any_case_that_its_checksum_allows() -> None:
    for text in (BOB, BOB.lower(), "0x" + BOB[2:].upper(), f" {BOB} "):
        assert parse_address(text) == BOB


# --- A ledger's node that is not one ------------------------------------------------------------

Answer = Callable[[web.Request], web.Response]


async def call_with(answer: Answer, session: aiohttp.ClientSession) -> object:
    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    application = web.Application()
    application.router.add_post("/", handle)
    async with TestServer(application) as server:
        return await JsonRpc(session, str(server.make_url("/"))).call("eth_chainId")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda _: web.Response(status=502, text="<html>"), "answered 502 and no JSON"),
        (lambda _: web.Response(body=b""), "answered 200 and no JSON"),
        (lambda _: web.json_response([]), "does not speak JSON-RPC"),
        (lambda _: web.json_response({}), "does not speak JSON-RPC"),
        (lambda _: web.Response(body=b"[" * 100_000), "no JSON"),
        (lambda _: web.Response(body=('{"∀": ' + "[" * 99_999).encode("utf-16")), "no JSON"),
    ],
)
async def test_what_is_no_answer_is_a_ledger_that_cannot_be_reached(
    answer: Answer, sentence: str, session: aiohttp.ClientSession
) -> None:
    with pytest.raises(LedgerUnreachable, match=sentence):
        await call_with(answer, session)


async def test_a_call_that_is_nested_too_deeply_does_not_end_the_chain(
    session: aiohttp.ClientSession,
) -> None:
    application = ChainServer(TestChain({}), block_seconds=1).application()
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        async with TestServer(application) as server:
            headers = {"Content-Type": "application/json"}
            url = server.make_url("/")
            async with session.post(url, data=b"[" * 200_000, headers=headers) as response:
                assert (await response.json())["error"]["message"] == "this is no JSON"
    finally:
        sys.setrecursionlimit(before)


async def test_an_error_is_told_in_the_nodes_words_but_not_at_any_length(
    session: aiohttp.ClientSession,
) -> None:
    for error in ({"message": "no " * 1_000}, "no " * 1_000, ["no"]):
        with pytest.raises(LedgerRefused, match="no") as caught:
            await call_with(lambda _, error=error: web.json_response({"error": error}), session)  # type: ignore[misc]
        assert len(str(caught.value)) < 300


async def test_a_nodes_address_with_a_key_in_it_is_in_no_message(
    session: aiohttp.ClientSession,
) -> None:
    with pytest.raises(LedgerUnreachable) as caught:
        await JsonRpc(session, "http://127.0.0.1:1/v3/secret-key").call("eth_chainId")
    assert "secret-key" not in str(caught.value)
    for wrong in ("ftp://secret-key", "secret-key", "http://[secret-key", "http://:1"):
        with pytest.raises(SettingError) as refused:
            JsonRpc(session, wrong)
        assert "secret-key" not in str(refused.value)


@pytest.mark.parametrize("wrong", [None, 5, "5", "0x", "0xg", "0x" + "f" * 65, [], -1])
async def test_a_number_that_is_none_is_refused(
    wrong: object, session: aiohttp.ClientSession
) -> None:
    application = web.Application()

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"result": wrong})

    application.router.add_post("/", handle)
    async with TestServer(application) as server:
        rpc = JsonRpc(session, str(server.make_url("/")))
        with pytest.raises(LedgerUnreachable):
            await EthereumLedger(rpc, ALICE_KEY, OPTIONS).state()


# --- The chain's own rules ----------------------------------------------------------------------


def refused(node: Node, method: str, params: Sequence[Any]) -> str:
    with pytest.raises(Refused) as caught:
        node.chain.answer(method, params)
    return str(caught.value)


def refused_pay(node: Node, amount: int, *, nonce: int = 0) -> str:
    with pytest.raises(Refused) as caught:
        node.pay(STRANGER_KEY, BOB, amount, nonce=nonce)
    return str(caught.value)


async def test_the_chain_refuses_what_a_node_refuses(node: Node) -> None:
    node.pay(STRANGER_KEY, BOB, 1)
    assert "underpriced" in refused_pay(node, 2)
    node.chain.mine()
    assert "nonce too low" in refused_pay(node, 2)
    assert "insufficient funds" in refused_pay(node, 10**30, nonce=1)
    assert "does not exist" in refused(node, "eth_mining", [])
    assert "invalid arguments" in refused(node, "eth_getBalance", ["0x12"])
    assert "not a signed transaction" in refused(node, "eth_sendRawTransaction", ["0x1234"])


async def test_a_gap_in_nonces_waits_and_funds_come_without_a_transaction(node: Node) -> None:
    node.pay(STRANGER_KEY, BOB, 1, nonce=1)
    node.chain.mine()
    assert node.count(STRANGER) == 0
    node.pay(STRANGER_KEY, BOB, 1, nonce=0)
    node.chain.mine()
    assert node.count(STRANGER) == 2

    node.chain.answer("signalbox_fund", [BOB, hex(ETHER)])
    assert node.balance(BOB) == 1_001 * ETHER + 2
    first = await node.ledger(BOB_KEY).block_at(2)
    assert first is not None
    found = await node.ledger(BOB_KEY).scan(first, upto=3)
    assert found.payments == []  # type: ignore[union-attr]


async def test_a_chain_where_nothing_happens_does_not_grow(node: Node) -> None:
    while not node.chain.is_idle:
        node.chain.mine()
    assert node.chain.head == IDLE_BLOCKS
    node.pay(STRANGER_KEY, BOB, 1)
    idle: bool = node.chain.is_idle
    assert not idle


async def test_the_chain_answers_what_is_no_call(
    node: Node, session: aiohttp.ClientSession
) -> None:
    url = node.rpc._url
    async with session.post(url, data=b"{}", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415
    headers = {"Content-Type": "application/json"}
    for body, code in (
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b"5", -32600),
        (b'{"params": 5}', -32602),
    ):
        async with session.post(url, data=body, headers=headers) as answer:
            assert (await answer.json())["error"]["code"] == code
    many = [{"id": n, "method": "eth_chainId"} for n in range(3)]
    async with session.post(url, json=many) as answer:
        assert [one["id"] for one in await answer.json()] == [0, 1, 2]
    async with session.post(url, json=many * 40) as answer:
        assert (await answer.json())["error"]["message"] == "too many calls"
