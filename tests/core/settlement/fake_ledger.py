"""A chain in a few lines, which does what a test tells it to, and a ledger on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, final

from core.errors import LedgerRefused, LedgerUnreachable
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

FEE: Final = 10
WORK: Final = 1


@final
@dataclass(frozen=True, slots=True)
class Transfer:
    sender: str
    nonce: int
    to: str
    amount: int
    fee: int

    @property
    def hash(self) -> str:
        return f"tx-{self.sender}-{self.nonce}-{self.to}-{self.amount}-{self.fee}"


@final
@dataclass(slots=True)
class Block:
    number: int
    hash: str
    transfers: list[Transfer] = field(default_factory=list)

    @property
    def mark(self) -> BlockMark:
        return BlockMark(self.number, self.hash)


@final
class FakeChain:
    """Blocks, a pool, and whose nonce is where; a payment to `refusing` is carried out and undone."""

    def __init__(self, *, chain_id: str = "fake", resets: bool = False) -> None:
        self.chain_id = chain_id
        self.resets = resets
        self.salt = 0
        self.blocks = [Block(0, f"{chain_id}-0-0")]
        self.pool: dict[tuple[str, int], Transfer] = {}
        self.funds: dict[str, int] = {}
        self.refusing: set[str] = set()
        self.min_fee = 0
        self.is_reachable = True
        self.broadcasts: list[str] = []

    @property
    def head(self) -> int:
        return self.blocks[-1].number

    def mine(self, count: int = 1) -> None:
        for _ in range(count):
            block = Block(self.head + 1, f"{self.chain_id}-{self.head + 1}-{self.salt}")
            for key in sorted(self.pool, key=lambda key: key[1]):
                transfer = self.pool[key]
                taken = sum(1 for other in block.transfers if other.sender == key[0])
                if transfer.fee >= self.min_fee and key[1] == self.nonce(key[0]) + taken:
                    block.transfers.append(self.pool.pop(key))
            self.blocks.append(block)

    def reorganise(self, depth: int, *, drop: bool = True) -> None:
        """Take the newest blocks away and put as many others there."""
        gone, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        self.salt += 1
        for block in gone:
            for transfer in block.transfers:
                if not drop:
                    self.pool[transfer.sender, transfer.nonce] = transfer
        self.mine(depth)

    def pay(self, sender: str, to: str, amount: int) -> str:
        """Let somebody pay who runs no engine; in the next block."""
        waiting = sum(1 for key in self.pool if key[0] == sender)
        transfer = Transfer(sender, self.nonce(sender) + waiting, to, amount, FEE)
        self.pool[sender, transfer.nonce] = transfer
        return transfer.hash

    def nonce(self, sender: str, upto: int | None = None) -> int:
        return sum(
            1
            for block in self.blocks
            if upto is None or block.number <= upto
            for transfer in block.transfers
            if transfer.sender == sender
        )

    def balance(self, address: str, upto: int | None = None) -> int:
        balance = self.funds.get(address, 10**30)
        for block in self.blocks:
            if upto is not None and block.number > upto:
                break
            for transfer in block.transfers:
                moved = 0 if transfer.to in self.refusing else transfer.amount
                if transfer.sender == address:
                    balance -= moved + transfer.fee * WORK
                if transfer.to == address:
                    balance += moved
        return balance

    def received(self, address: str, sender: str) -> list[int]:
        """Return what one has paid another, in order."""
        return [
            transfer.amount
            for block in self.blocks
            for transfer in block.transfers
            if transfer.to == address and transfer.sender == sender
        ]


@final
class FakeLedger:
    """What an engine sees of the chain, as one wallet."""

    kind = "fake"
    asset_code = "ETH"
    scale = 18

    def __init__(self, chain: FakeChain, address: str, *, confirmations: int = 2) -> None:
        self.chain = chain
        self.address = address
        self.confirmations = confirmations

    async def state(self) -> LedgerState:
        chain = self._reach()
        return LedgerState(
            ledger_id=chain.chain_id,
            ledger="a fake chain",
            resets=chain.resets,
            head=chain.head,
            settled_head=chain.head - self.confirmations + 1,
            balance=chain.balance(self.address),
            nonce=chain.nonce(self.address),
        )

    async def block_at(self, number: int) -> BlockMark | None:
        blocks = self._reach().blocks
        return blocks[number].mark if number < len(blocks) else None

    async def block_before(self, at_ms: int) -> BlockMark:
        return self._reach().blocks[0].mark

    async def balance_at(self, number: int) -> int | None:
        return self._reach().balance(self.address, number)

    async def plan(
        self, payment: Payment, *, committed: int, replacing: Attempt | None
    ) -> Plan:
        chain = self._reach()
        fee = FEE if replacing is None else -(-replacing.fee_per_unit * 9 // 8)
        if replacing is None and payment.amount + fee + committed > chain.balance(self.address):
            raise LedgerRefused("the wallet is too empty")
        return Plan(payment=payment, fee_per_unit=fee, tip_per_unit=0, work_limit=WORK)

    def sign(self, plan: Plan, nonce: int, at_ms: int) -> Attempt:
        transfer = Transfer(
            self.address,
            nonce,
            plan.payment.destination,
            plan.payment.amount,
            plan.fee_per_unit,
        )
        return Attempt(
            hash=transfer.hash,
            raw=repr((plan.payment.destination, plan.payment.amount)).encode(),
            fee_per_unit=plan.fee_per_unit,
            tip_per_unit=0,
            work_limit=WORK,
            at_ms=at_ms,
        )

    async def broadcast(self, attempt: Attempt) -> None:
        chain = self._reach()
        chain.broadcasts.append(attempt.hash)
        _, sender, nonce, to, amount, fee = attempt.hash.split("-")
        transfer = Transfer(sender, int(nonce), to, int(amount), int(fee))
        if transfer.nonce < chain.nonce(sender):
            raise LedgerRefused("nonce too low")
        waiting = chain.pool.get((sender, transfer.nonce))
        if waiting is not None and transfer.fee * 10 < waiting.fee * 11:
            raise LedgerRefused("already known, or underpriced")
        chain.pool[sender, transfer.nonce] = transfer

    async def outcome(
        self, nonce: int, attempts: Sequence[Attempt], state: LedgerState
    ) -> Outcome:
        chain = self._reach()
        for block in chain.blocks:
            for transfer in block.transfers:
                if transfer.hash not in {attempt.hash for attempt in attempts}:
                    continue
                deep = state.head - block.number + 1
                if deep < self.confirmations:
                    return Pending(transfer.hash, max(deep, 0))
                if transfer.to in chain.refusing:
                    return Undone(transfer.hash, block.mark, transfer.fee * WORK)
                return Paid(transfer.hash, block.mark, deep, transfer.fee * WORK)
        taken = chain.nonce(self.address, state.settled_head) > nonce
        return Pending(None, 0, nonce_taken=taken)

    async def scan(self, after: BlockMark, *, upto: int) -> Scan | Reorganised:
        chain = self._reach()
        if chain.blocks[after.number].mark != after:
            return Reorganised()
        found = [
            IncomingPayment(
                key=transfer.hash,
                transaction=transfer.hash,
                sender=transfer.sender,
                ledger_amount=transfer.amount,
                block=block.mark,
            )
            for block in chain.blocks[after.number + 1 : upto + 1]
            for transfer in block.transfers
            if transfer.to == self.address and transfer.to not in chain.refusing
        ]
        return Scan(chain.blocks[upto].mark, found)

    def _reach(self) -> FakeChain:
        if not self.chain.is_reachable:
            raise LedgerUnreachable("the fake chain does not answer")
        return self.chain
