"""ETH on an Ethereum chain: plain transfers, signed here, found again by scanning blocks.

Nothing here is decided by what a node says about a transaction when it is handed over: nodes differ
in that (`already known`, `nonce too low`, silence). Whether it happened is in its receipt.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from typing import Final, cast, final

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from eth_utils.address import is_checksum_address, to_checksum_address

from core.account import format_number
from core.errors import LedgerRefused, LedgerUnreachable, SettingError
from core.settlement.engines.ethereum_options import (
    ASSET_CODE,
    KIND,
    SCALE,
    EthereumOptions,
)
from core.settlement.engines.json_rpc import Json, JsonRpc
from core.settlement.ledger import (
    LedgerState,
    Outcome,
    Paid,
    Payment,
    Pending,
    Plan,
    Reorganised,
    Scan,
    Undone,
)
from core.settlement.store import Attempt, BlockMark, IncomingPayment

BLOCKS_PER_SCAN: Final = 50
BLOCKS_AT_ONCE: Final = 8
TRANSFER_GAS: Final = 21_000
GAS_LIMIT_MAX: Final = 200_000
"""A payee that is a contract may do so much when it is paid, and no more."""
CLOCK_SKEW_MS: Final = 3_600_000

TEST_CHAIN_VERSION: Final = "signalbox-test-chain"
_TEST_CHAIN_IDS: Final = {1337, 31337}
"""What the usual development nodes call themselves; they begin anew with each start, too."""
_CHAIN_NAMES: Final = {1: "Ethereum mainnet", 11_155_111: "Sepolia", 560_048: "Hoodi"}
_HASHES_ONLY: Final = False
_WHOLE: Final = True
"""Whether a block is asked for with its transactions or with their hashes."""
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


def new_key() -> bytes:
    """Return a fresh private key."""
    while True:
        key = secrets.token_bytes(32)
        try:
            EthAccount.from_key(key)
        except ValueError:
            continue  # about one in 2^128 is none
        return key


def parse_key(text: str) -> bytes:
    """Return the private key that `text` has in hexadecimal; no message repeats it.

    Raises:
        SettingError: it is none.
    """
    digits = text.strip().removeprefix("0x")
    if re.fullmatch(r"[0-9a-fA-F]{64}", digits) is None:
        raise SettingError("key", "a private key has 64 hexadecimal digits")
    key = bytes.fromhex(digits)
    try:
        EthAccount.from_key(key)
    except ValueError:
        raise SettingError("key", "this number is not a private key of secp256k1") from None
    return key


def address_of(key: bytes) -> str:
    """Return the address that a private key controls, with its checksum."""
    return str(cast("LocalAccount", EthAccount.from_key(key)).address)


def parse_address(text: str) -> str:
    """Return an address with its checksum.

    Raises:
        LedgerRefused: it is none, or its checksum is wrong.
    """
    text = text.strip()
    if _ADDRESS.fullmatch(text) is None:
        raise LedgerRefused(f"{text[:60]!r} is not an Ethereum address: 0x and 40 digits")
    digits = text[2:]
    if digits not in {digits.lower(), digits.upper()} and not is_checksum_address(text):
        raise LedgerRefused(f"{text} has a wrong checksum: a digit is mistyped")
    return str(to_checksum_address(text))


@final
class EthereumLedger:
    """Our wallet on the chain that a node serves."""

    def __init__(self, rpc: JsonRpc, key: bytes, options: EthereumOptions) -> None:
        self._rpc = rpc
        self._account = cast("LocalAccount", EthAccount.from_key(key))
        self._options = options
        self._own = self._account.address.lower()
        self._chain_id: int | None = None

    @property
    def kind(self) -> str:
        return KIND

    @property
    def asset_code(self) -> str:
        return ASSET_CODE

    @property
    def scale(self) -> int:
        return SCALE

    @property
    def address(self) -> str:
        return str(self._account.address)

    # --- Where it stands

    async def state(self) -> LedgerState:
        chain_id, head, balance, nonce, version, genesis = await asyncio.gather(
            self._number("eth_chainId"),
            self._number("eth_blockNumber"),
            self._number("eth_getBalance", self.address, "latest"),
            self._number("eth_getTransactionCount", self.address, "latest"),
            self._rpc.call("web3_clientVersion"),
            self.block_at(0),
        )
        if genesis is None:
            raise LedgerUnreachable(f"the node at {self._rpc.host} has no first block")
        ours = str(version).startswith(TEST_CHAIN_VERSION)
        resets = ours or chain_id in _TEST_CHAIN_IDS
        self._chain_id = chain_id
        return LedgerState(
            ledger_id=f"{chain_id}:{genesis.hash}",
            ledger="local test chain"
            if resets
            else _CHAIN_NAMES.get(chain_id, f"chain {chain_id}"),
            resets=resets,
            head=head,
            settled_head=head - self._options.confirmations + 1,
            balance=balance,
            nonce=nonce,
        )

    async def block_at(self, number: int) -> BlockMark | None:
        block = await self._rpc.call("eth_getBlockByNumber", hex(number), _HASHES_ONLY)
        return None if block is None else _mark(_object(block))

    async def block_before(self, at_ms: int) -> BlockMark:
        """Halve the chain by the blocks' own times, less an hour for clocks that differ."""
        at_seconds = (at_ms - CLOCK_SKEW_MS) // 1000
        low, high = 0, await self._number("eth_blockNumber")
        while low < high:
            middle = (low + high + 1) // 2
            block = _object(
                await self._rpc.call("eth_getBlockByNumber", hex(middle), _HASHES_ONLY),
                "a block",
            )
            if _quantity(block.get("timestamp")) < at_seconds:
                low = middle
            else:
                high = middle - 1
        mark = await self.block_at(low)
        if mark is None:
            raise LedgerUnreachable(f"the node at {self._rpc.host} lost block {low}")
        return mark

    async def balance_at(self, number: int) -> int | None:
        try:
            return await self._number("eth_getBalance", self.address, hex(number))
        except LedgerRefused:
            return None  # a node that is no archive keeps about 128 blocks' state

    # --- Outwards

    async def plan(
        self, payment: Payment, *, committed: int, replacing: Attempt | None
    ) -> Plan:
        destination = parse_address(payment.destination)
        head, balance = await asyncio.gather(
            self._rpc.call("eth_getBlockByNumber", "latest", _HASHES_ONLY),
            self._number("eth_getBalance", self.address, "latest"),
        )
        base_fee = _object(head, "the newest block").get("baseFeePerGas")
        if base_fee is None:
            raise LedgerRefused("the chain has no base fee (EIP-1559), which this engine needs")
        tip, limit = self._options.tip, self._options.fee_limit
        needed = _quantity(base_fee) + tip
        if replacing is not None:
            # Nodes take a replacement that offers a tenth more; an eighth is safely above.
            tip = max(tip, _an_eighth_more(replacing.tip_per_unit))
            needed = max(_quantity(base_fee) + tip, _an_eighth_more(replacing.fee_per_unit))
        if needed > limit:
            raise LedgerRefused(
                f"the chain asks {_gwei(needed)} for a unit of gas and our limit is {_gwei(limit)}"
            )
        fee = max(needed, min(2 * _quantity(base_fee) + tip, limit))
        gas = (
            await self._gas(destination, payment.amount)
            if replacing is None
            else replacing.work_limit
        )
        total = payment.amount + fee * gas
        free = balance - committed - self._options.reserve
        if replacing is None and total > free:
            raise LedgerRefused(
                f"the wallet {self.address} has {_eth(max(free, 0))} to spend and this payment "
                f"takes up to {_eth(total)}: send it ETH"
            )
        return Plan(
            payment=Payment(destination=destination, amount=payment.amount),
            fee_per_unit=fee,
            tip_per_unit=tip,
            work_limit=gas,
        )

    def sign(self, plan: Plan, nonce: int, at_ms: int) -> Attempt:
        assert self._chain_id is not None, "state() comes first"
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": bytes.fromhex(plan.payment.destination[2:]),
                "value": plan.payment.amount,
                "gas": plan.work_limit,
                "maxFeePerGas": plan.fee_per_unit,
                "maxPriorityFeePerGas": plan.tip_per_unit,
            }
        )
        return Attempt(
            hash="0x" + bytes(signed.hash).hex(),
            raw=bytes(signed.raw_transaction),
            fee_per_unit=plan.fee_per_unit,
            tip_per_unit=plan.tip_per_unit,
            work_limit=plan.work_limit,
            at_ms=at_ms,
        )

    async def broadcast(self, attempt: Attempt) -> None:
        await self._rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())

    async def outcome(
        self, nonce: int, attempts: Sequence[Attempt], state: LedgerState
    ) -> Outcome:
        settled_nonce = 0
        if state.settled_head >= 0:
            settled_nonce = await self._settled_nonce(state)
        # After the nonce: whoever took it is final, so if it is ours its receipt is there by now.
        for attempt in attempts:
            receipt = await self._rpc.call("eth_getTransactionReceipt", attempt.hash)
            if receipt is None:
                continue
            return self._outcome_of(attempt, _object(receipt), state)
        return Pending(None, 0, nonce_taken=settled_nonce > nonce)

    async def _settled_nonce(self, state: LedgerState) -> int:
        try:
            return await self._number(
                "eth_getTransactionCount", self.address, hex(state.settled_head)
            )
        except LedgerRefused:
            return 0

    def _outcome_of(
        self, attempt: Attempt, receipt: dict[str, Json], state: LedgerState
    ) -> Outcome:
        block = BlockMark(
            _quantity(receipt.get("blockNumber")), _hash(receipt.get("blockHash"))
        )
        confirmations = max(state.head - block.number + 1, 0)
        if confirmations < self._options.confirmations:
            return Pending(attempt.hash, confirmations)
        fee = _quantity(receipt.get("gasUsed")) * _quantity(receipt.get("effectiveGasPrice"))
        if _quantity(receipt.get("status")) == 1:
            return Paid(attempt.hash, block, confirmations, fee)
        return Undone(attempt.hash, block, fee)

    async def _gas(self, destination: str, amount: int) -> int:
        estimate = await self._number(
            "eth_estimateGas",
            {"from": self.address, "to": destination, "value": hex(amount)},
        )
        if estimate <= TRANSFER_GAS:
            return TRANSFER_GAS
        gas = estimate + estimate // 4
        if gas > GAS_LIMIT_MAX:
            raise LedgerRefused(
                f"{destination} is a contract that uses {estimate} gas when it is paid; "
                f"our limit is {GAS_LIMIT_MAX}"
            )
        return gas

    # --- Inwards

    async def scan(self, after: BlockMark, *, upto: int) -> Scan | Reorganised:
        first, last = after.number + 1, min(upto, after.number + BLOCKS_PER_SCAN)
        payments: list[IncomingPayment] = []
        reached = after
        for start in range(first, last + 1, BLOCKS_AT_ONCE):
            blocks = await asyncio.gather(
                *(
                    self._rpc.call("eth_getBlockByNumber", hex(number), _WHOLE)
                    for number in range(start, min(start + BLOCKS_AT_ONCE, last + 1))
                )
            )
            for found in blocks:
                if found is None:
                    return Reorganised()
                block = _object(found)
                if _hash(block.get("parentHash")) != reached.hash:
                    return Reorganised()
                reached = _mark(block)
                payments += await self._payments_in(block, reached)
        return Scan(reached, payments)

    async def _payments_in(
        self, block: dict[str, Json], mark: BlockMark
    ) -> list[IncomingPayment]:
        found: list[IncomingPayment] = []
        transactions = block.get("transactions")
        if not isinstance(transactions, list):
            raise LedgerUnreachable(f"the node at {self._rpc.host} sent a block without a list")
        for entry in transactions:
            transaction = _object(entry)
            receiver = transaction.get("to")
            if not isinstance(receiver, str) or receiver.lower() != self._own:
                continue
            sender = str(transaction.get("from"))
            amount = _quantity(transaction.get("value"))
            if amount == 0 or sender.lower() == self._own:
                continue
            name = _hash(transaction.get("hash"))
            receipt = _object(
                await self._rpc.call("eth_getTransactionReceipt", name), "a receipt"
            )
            if _hash(receipt.get("blockHash")) != mark.hash:
                raise LedgerUnreachable("the chain changed while it was read")
            if _quantity(receipt.get("status")) == 1:
                found.append(
                    IncomingPayment(
                        key=name,
                        transaction=name,
                        sender=sender,
                        ledger_amount=amount,
                        block=mark,
                    )
                )
        return found

    async def _number(self, method: str, *params: Json) -> int:
        return _quantity(await self._rpc.call(method, *params))


def _an_eighth_more(fee: int) -> int:
    return -(-fee * 9 // 8)


def _object(value: Json, what: str = "an object") -> dict[str, Json]:
    if not isinstance(value, dict):
        raise LedgerUnreachable(f"the ledger's node answered without {what}")
    return value


def _mark(block: dict[str, Json]) -> BlockMark:
    return BlockMark(_quantity(block.get("number")), _hash(block.get("hash")))


def _hash(value: Json) -> str:
    if not isinstance(value, str) or re.fullmatch(r"0x[0-9a-fA-F]{64}", value) is None:
        raise LedgerUnreachable("the ledger's node sent a hash that is none")
    return value.lower()


def _quantity(value: Json) -> int:
    if not isinstance(value, str) or re.fullmatch(r"0x[0-9a-fA-F]{1,64}", value) is None:
        raise LedgerUnreachable("the ledger's node sent a number that is none")
    return int(value, 16)


def _gwei(amount: int) -> str:
    return f"{format_number(amount, 9)} gwei"


def _eth(amount: int) -> str:
    return f"{format_number(amount, SCALE)} ETH"
