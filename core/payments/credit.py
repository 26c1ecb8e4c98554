"""Whether the account that pays has enough left: asked before a payment, and when a packet of it finds too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

from core.account import Account, AccountDirectory, AccountId, format_amount
from core.ledger.books import Balance
from core.packet import Reject
from core.payments.records import Ending, Payment, PaymentState
from core.payments.store import PaymentStore


class BalanceBooks(Protocol):
    """What the books know of an account."""

    async def balance(self, account: AccountId) -> Balance:
        """Return its numbers as of now."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PayersCredit:
    """Compares what an account may still send with what a payment needs; says both sums."""

    directory: AccountDirectory
    books: BalanceBooks
    store: PaymentStore

    async def lacks(self, account_id: AccountId, needed: int, what: str) -> str:
        """Return why the account cannot send so much for something, a sentence; empty where it can.

        Raises:
            StoreUnavailable: the books cannot be read now.
        """
        account = self._limited(account_id)
        if account is None:
            return ""
        balance = await self.books.balance(account.id)
        available = balance.available(account.min_balance)
        if available is None or available >= needed:
            return ""
        left = format_amount(max(0, available), account.asset)
        wanted = format_amount(needed, account.asset)
        return f"{account.name} has {left} left to send, and {what} needs {wanted}"

    async def cannot_go_on(
        self, payment: Payment, needed: int, reject: Reject
    ) -> Ending | None:
        """After a reject for lack of liquidity, return how it ends if it is the account's own credit that is short.

        What is under way may come back, and is credit until then. The balance is read first: what is
        booked in between is in both numbers, and nothing is called short that is not.

        Raises:
            StoreUnavailable: the books cannot be read now.
        """
        account = self._limited(payment.account)
        if account is None:
            return None
        balance = await self.books.balance(account.id)
        now = await self.store.payment(payment.id)
        available = balance.available(account.min_balance)
        if now is None or available is None:
            return None
        has, left = max(0, available + balance.pending_in), needed - now.sent
        if has >= left:
            return None
        return Ending(
            state=PaymentState.FAILED,
            reason=(
                f"{account.name} has {format_amount(has, account.asset)} left to send, what is under way"
                f" included, and the rest of the payment needs {format_amount(left, account.asset)}."
            ),
            reject_code=reject.code.decode(),
            triggered_by=reject.triggered_by,
        )

    def _limited(self, account_id: AccountId) -> Account | None:
        account = self.directory.by_id(account_id)
        return None if account is None or account.min_balance is None else account
