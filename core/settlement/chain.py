"""A local Ethereum chain for trying things out: true keys, signatures, blocks, gas; no network.

py-evm, through eth-tester's backend, executes; this module adds what a node does around that: a pool
with the rules for replacements, blocks at a pace, and JSON-RPC over HTTP. It lives in memory and is
gone when its process ends. Its libraries are heavy, so nothing else imports this module.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from aiohttp import web
from eth.abc import SignedTransactionAPI
from eth.exceptions import PyEVMError
from eth_tester import PyEVMBackend
from eth_tester.exceptions import ValidationError as TesterValidationError
from eth_utils.address import is_address, to_checksum_address
from eth_utils.exceptions import ValidationError

from core.json_text import json_text
from core.settlement.engines.ethereum import TEST_CHAIN_VERSION
from core.settlement.engines.json_rpc import DEPTH_MAX, Json

log = logging.getLogger(__name__)

# py-evm raises the limit for contracts that call contracts, so far that any deep recursion would end the process.
sys.setrecursionlimit(3_000)

GWEI: Final = 10**9
ETHER: Final = 10**18
POOL_MAX: Final = 5_000
REQUEST_OCTETS_MAX: Final = 2**20
BATCH_MAX: Final = 100
IDLE_BLOCKS: Final = 30
"""So many empty blocks follow the last transaction; then the chain waits, and does not grow."""
CHAIN_ID: Final = 131_277_322_940_537
"""eth-tester's own."""


class Refused(Exception):
    """What a node answers with an error."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.code = code


@final
@dataclass(slots=True)
class _Mined:
    """A block as JSON-RPC shows it, and its transactions' receipts."""

    block: dict[str, Any]
    snapshot: Any
    transactions: list[dict[str, Any]] = field(default_factory=list)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)


@final
class TestChain:
    """The chain and its pool; every call is quick and none waits."""

    __test__ = False

    def __init__(self, funds: Mapping[str, int]) -> None:
        """Begin a chain on which these addresses hold so many wei."""
        self._backend = PyEVMBackend(
            genesis_state={
                bytes.fromhex(address[2:]): {
                    "balance": balance,
                    "nonce": 0,
                    "code": b"",
                    "storage": {},
                }
                for address, balance in funds.items()
            }
            or None
        )
        self._pool: dict[tuple[bytes, int], tuple[SignedTransactionAPI, bytes]] = {}
        self._blocks: list[_Mined] = []
        self._places: dict[str, int] = {}
        self._idle = 0
        self._keep()

    @property
    def head(self) -> int:
        return len(self._blocks) - 1

    @property
    def is_idle(self) -> bool:
        """Nothing waits, and what happened last is deep by now."""
        return not self._pool and self._idle >= IDLE_BLOCKS

    def mine(self) -> None:
        """Make a block of what waits and can be executed, each sender's in order."""
        self._idle = 0 if self._pool else self._idle + 1
        included: list[SignedTransactionAPI] = []
        for key in sorted(self._pool, key=lambda key: key[1]):
            transaction, raw = self._pool[key]
            nonce = self._nonce(key[0], included)
            if key[1] < nonce:
                del self._pool[key]
            if key[1] != nonce:
                continue
            try:
                self._backend.send_raw_transaction(raw)
            except (PyEVMError, ValidationError, TesterValidationError) as error:
                log.info("transaction %s waits: %s", transaction.hash.hex(), error)
                continue
            included.append(transaction)
            del self._pool[key]
        self._backend.mine_blocks(1)
        self._keep()

    def send(self, raw: bytes) -> str:
        """Take a signed transaction into the pool; a dearer one replaces one of the same nonce."""
        try:
            transaction = self._backend.chain.get_transaction_builder().decode(raw)
            transaction.validate()
            sender = transaction.sender
        except Exception as error:
            raise Refused(f"not a signed transaction: {type(error).__name__}") from error
        if transaction.chain_id not in {None, CHAIN_ID}:
            raise Refused("invalid chain id for signer")
        name = f"0x{transaction.hash.hex()}"
        if name in self._places:
            raise Refused("already known")
        nonce = self._nonce(sender, ())
        if transaction.nonce < nonce:
            raise Refused("nonce too low")
        if self._balance(sender) < transaction.value + transaction.gas * _fee(transaction):
            raise Refused("insufficient funds for gas * price + value")
        key = (sender, transaction.nonce)
        if key in self._pool:
            waiting, _ = self._pool[key]
            if waiting.hash == transaction.hash:
                raise Refused("already known")
            if _fee(transaction) * 10 < _fee(waiting) * 11 or _tip(transaction) * 10 < (
                _tip(waiting) * 11
            ):
                raise Refused("replacement transaction underpriced")
        elif len(self._pool) >= POOL_MAX:
            raise Refused("the pool is full")
        self._pool[key] = (transaction, raw)
        return name

    def fund(self, address: str, amount: int) -> None:
        """Give wei from nowhere, as a withdrawal from the beacon chain: a balance and no transaction."""
        gwei = -(-amount // GWEI)
        self._backend.apply_withdrawals(
            [
                {
                    "index": len(self._blocks),
                    "validator_index": 0,
                    "address": to_checksum_address(address),
                    "amount": gwei,
                }
            ]
        )
        self._idle = 0
        self._keep()

    def reorganise(self, depth: int, *, drop: bool) -> None:
        """Replace the newest blocks by as many others and one more; their transactions wait again."""
        depth = min(depth, self.head)
        gone, self._blocks = self._blocks[-depth:], self._blocks[:-depth]
        if not gone:
            return
        self._backend.revert_to_snapshot(self._blocks[-1].snapshot)
        for mined in gone:
            for transaction in mined.transactions:
                del self._places[transaction["hash"]]
                if not drop:
                    raw = bytes.fromhex(transaction["_raw"])
                    decoded = self._backend.chain.get_transaction_builder().decode(raw)
                    self._pool[decoded.sender, decoded.nonce] = (decoded, raw)
        for _ in range(depth + 1):
            self.mine()

    # --- What JSON-RPC asks

    def answer(self, method: str, params: Sequence[Json]) -> Json:
        """Return a call's result.

        Raises:
            Refused: as a node refuses.
        """
        call = self._calls().get(method)
        if call is None:
            raise Refused(f"the method {method} does not exist", -32601)
        try:
            return call(*params)
        except (TypeError, ValueError, KeyError) as error:
            raise Refused(f"invalid arguments: {error}", -32602) from error

    def _calls(self) -> dict[str, Callable[..., Json]]:
        return {
            "web3_clientVersion": lambda: f"{TEST_CHAIN_VERSION}/1",
            "net_version": lambda: str(CHAIN_ID),
            "eth_chainId": lambda: hex(CHAIN_ID),
            "eth_blockNumber": lambda: hex(self.head),
            "eth_gasPrice": lambda: hex(self._base_fee() + GWEI),
            "eth_maxPriorityFeePerGas": lambda: hex(GWEI),
            "eth_estimateGas": self._estimate_gas,
            "eth_getBalance": lambda address, block="latest": hex(
                self._backend.get_balance(_address(address), self._number(block))
            ),
            "eth_getTransactionCount": self._transaction_count,
            "eth_getBlockByNumber": self._block,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._transaction,
            "eth_sendRawTransaction": lambda raw: self.send(bytes.fromhex(raw[2:])),
            "signalbox_fund": lambda address, amount: self.fund(address, int(amount, 16)),
            "signalbox_mine": self._mine_now,
            "signalbox_reorganise": lambda depth, drop: self.reorganise(
                int(depth, 16), drop=bool(drop)
            ),
        }

    def _mine_now(self, count: str = "0x1") -> Json:
        for _ in range(int(count, 16)):
            self.mine()
        return hex(self.head)

    def _estimate_gas(self, call: dict[str, Any]) -> Json:
        if self._backend.get_code(_address(call["to"])) in {b"", "0x"}:
            return hex(21_000)
        raise Refused("the local test chain has no contracts")

    def _transaction_count(self, address: str, block: str = "latest") -> Json:
        account = _address(address)
        if block != "pending":
            return hex(self._backend.get_nonce(account, self._number(block)))
        nonce = self._nonce(account, ())
        while (account, nonce) in self._pool:
            nonce += 1
        return hex(nonce)

    def _block(self, number: str, whole: Json = None) -> Json:
        index = self._number(number)
        if index > self.head:
            return None
        mined = self._blocks[index]
        block = dict(mined.block)
        block["transactions"] = (
            [_shown(transaction) for transaction in mined.transactions]
            if whole
            else [transaction["hash"] for transaction in mined.transactions]
        )
        return block

    def _receipt(self, name: str) -> Json:
        place = self._places.get(name)
        return None if place is None else self._blocks[place].receipts[name]

    def _transaction(self, name: str) -> Json:
        place = self._places.get(name)
        if place is None:
            return None
        found = next(t for t in self._blocks[place].transactions if t["hash"] == name)
        return _shown(found)

    def _number(self, block: str) -> int:
        if block in {"latest", "pending", "safe", "finalized"}:
            return self.head
        return 0 if block == "earliest" else int(block, 16)

    # --- What the machine tells

    def _nonce(self, sender: bytes, included: Sequence[SignedTransactionAPI]) -> int:
        nonce = int(self._backend.get_nonce(sender))
        return nonce + sum(1 for transaction in included if transaction.sender == sender)

    def _balance(self, address: bytes) -> int:
        return int(self._backend.get_balance(address))

    def _base_fee(self) -> int:
        return int(self._blocks[-1].block["baseFeePerGas"], 16)

    def _keep(self) -> None:
        """Write down the newest block once, so that asking for it costs nothing."""
        chain = self._backend.chain
        snapshot = self._backend.take_snapshot()
        block = chain.get_block_by_hash(snapshot)
        header = block.header
        name = "0x" + block.hash.hex()
        mined = _Mined(
            block={
                "number": hex(block.number),
                "hash": name,
                "parentHash": "0x" + header.parent_hash.hex(),
                "timestamp": hex(header.timestamp),
                "gasLimit": hex(header.gas_limit),
                "gasUsed": hex(header.gas_used),
                "baseFeePerGas": hex(header.base_fee_per_gas),
                "miner": "0x" + header.coinbase.hex(),
                "stateRoot": "0x" + header.state_root.hex(),
            },
            snapshot=snapshot,
        )
        used = 0
        receipts = block.get_receipts(chain.chaindb) if block.transactions else ()
        for index, (transaction, receipt) in enumerate(
            zip(block.transactions, receipts, strict=True)
        ):
            price = min(_fee(transaction), header.base_fee_per_gas + _tip(transaction))
            shown = {
                "hash": "0x" + transaction.hash.hex(),
                "blockHash": name,
                "blockNumber": hex(block.number),
                "transactionIndex": hex(index),
                "from": "0x" + transaction.sender.hex(),
                "to": "0x" + transaction.to.hex() if transaction.to else None,
            }
            mined.receipts[shown["hash"]] = {
                "transactionHash": shown["hash"],
                "blockHash": name,
                "blockNumber": hex(block.number),
                "transactionIndex": hex(index),
                "from": shown["from"],
                "to": shown["to"],
                "status": hex(int(receipt.state_root == b"\x01")),
                "gasUsed": hex(receipt.gas_used - used),
                "cumulativeGasUsed": hex(receipt.gas_used),
                "effectiveGasPrice": hex(price),
                "logs": [],
            }
            used = receipt.gas_used
            mined.transactions.append(
                shown
                | {
                    "nonce": hex(transaction.nonce),
                    "value": hex(transaction.value),
                    "gas": hex(transaction.gas),
                    "maxFeePerGas": hex(_fee(transaction)),
                    "maxPriorityFeePerGas": hex(_tip(transaction)),
                    "_raw": transaction.encode().hex(),
                }
            )
            self._places[shown["hash"]] = block.number
        self._blocks.append(mined)


def _fee(transaction: SignedTransactionAPI) -> int:
    return int(getattr(transaction, "max_fee_per_gas", None) or transaction.gas_price)


def _tip(transaction: SignedTransactionAPI) -> int:
    tip = getattr(transaction, "max_priority_fee_per_gas", None)
    return int(transaction.gas_price if tip is None else tip)


def _address(text: str) -> bytes:
    if not is_address(text):
        raise ValueError(f"{text!r} is no address")
    return bytes.fromhex(text[2:])


def _shown(transaction: Mapping[str, Any]) -> dict[str, Json]:
    return {name: value for name, value in transaction.items() if name != "_raw"}


@final
class ChainServer:
    """Serves a chain over HTTP on loopback, and makes a block about every so many seconds."""

    def __init__(self, chain: TestChain, *, block_seconds: float) -> None:
        self._chain = chain
        self._block_seconds = block_seconds

    def application(self) -> web.Application:
        """Return the web application: one POST, JSON-RPC 2.0, single or in batches."""
        application = web.Application(client_max_size=REQUEST_OCTETS_MAX)
        application.router.add_post("/", self._post)
        return application

    async def mine(self, stop: asyncio.Event) -> None:
        """Make blocks until asked to stop; rest while nothing happens."""
        while not stop.is_set():
            if not self._chain.is_idle:
                self._chain.mine()
            try:
                async with asyncio.timeout(self._block_seconds):
                    await stop.wait()
            except TimeoutError:
                continue

    async def _post(self, request: web.Request) -> web.Response:
        # A page in a browser can post here too, but not with this content type unasked.
        if request.content_type != "application/json":
            return web.Response(status=415, text="send application/json\n")
        try:
            asked = json.loads(json_text(await request.read(), depth_max=DEPTH_MAX))
        except ValueError:
            return web.json_response(_error(None, Refused("this is no JSON", -32700)))
        if isinstance(asked, list):
            if len(asked) > BATCH_MAX:
                return web.json_response(_error(None, Refused("too many calls", -32600)))
            return web.json_response([self._one(one) for one in asked])
        return web.json_response(self._one(asked))

    def _one(self, asked: object) -> dict[str, Json]:
        if not isinstance(asked, dict):
            return _error(None, Refused("this is no call", -32600))
        params = asked.get("params", [])
        if not isinstance(params, list):
            return _error(asked.get("id"), Refused("params must be a list", -32602))
        try:
            result = self._chain.answer(str(asked.get("method")), params)
        except Refused as refusal:
            return _error(asked.get("id"), refusal)
        return {"jsonrpc": "2.0", "id": asked.get("id"), "result": result}


def _error(call: Json, refusal: Refused) -> dict[str, Json]:
    return {
        "jsonrpc": "2.0",
        "id": call,
        "error": {"code": refusal.code, "message": str(refusal)},
    }
