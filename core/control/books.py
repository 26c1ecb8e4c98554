"""The operator and the books: what is owed, what a crash left open, corrections, and the audit."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import AMOUNT_MAX_BOOKED, AccountDirectory, Asset, format_amount
from core.control.accounts import AccountDesk, find_account
from core.control.routes import asset_of, name_of
from core.control.views import AccountView, Exposure, UnknownResolved, UnknownRow
from core.control.words import counted
from core.errors import Conflict, SettingError, TransferDecided
from core.ledger.books import AuditReport, Balance, Books, TransferId

log = logging.getLogger(__name__)

UNKNOWN_TRANSFERS_MAX: Final = 1_000
RESOLVED_AT_ONCE_MAX: Final = 100
RESOLVING_ROUNDS_MAX: Final = 100
REASON_CHARACTERS_MAX: Final = 500
_DECIDED: Final = {
    "REJECTED": "it was given up as not paid already; if the peer has it after all, correct its balance",
    "LATE": "it is owed to the peer already; if the peer does not have it, correct its balance",
    "FULFILLED": "it was paid in time",
    "PENDING": "its node still waits for the answer",
    "EXPIRED": "its node still waits for an answer that comes too late",
}
"""Why a transfer cannot be resolved, by the state that it is in."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BooksDesk:
    """What the operator does with the books."""

    directory: AccountDirectory
    books: Books
    accounts: AccountDesk

    async def unknown(self) -> Sequence[UnknownRow]:
        return tuple(
            UnknownRow(
                id=transfer.id,
                from_username=name_of(self.directory, transfer.from_account),
                to_username=name_of(self.directory, transfer.to_account),
                outgoing_amount=transfer.outgoing_amount,
                outgoing_asset=asset_of(self.directory, transfer.to_account),
                destination=transfer.destination,
                created_at_ms=transfer.created_at_ms,
                payment=transfer.payment,
            )
            for transfer in await self.books.unknown_transfers(limit=UNKNOWN_TRANSFERS_MAX)
        )

    async def resolve(self, transfer_id: int, *, fulfilled: bool) -> None:
        try:
            await self.books.resolve_unknown(TransferId(transfer_id), fulfilled=fulfilled)
        except TransferDecided as error:
            if error.state not in _DECIDED:
                raise
            why = _DECIDED[error.state]
            raise Conflict(f"transfer {transfer_id} is not undecided: {why}") from error
        log.info(
            "transfer %d, left open by a crash, was %s",
            transfer_id,
            "fulfilled, and is owed" if fulfilled else "not fulfilled",
        )

    async def resolve_all(
        self, *, fulfilled: bool, peer: str | None, payment: str | None
    ) -> UnknownResolved:
        if peer is None and payment is None:
            raise SettingError(
                "peer", "it or `payment` is needed: whose transfers are resolved"
            )
        account = None if peer is None else find_account(self.directory, peer)
        transfers, sums = 0, Counter[Asset]()
        for _ in range(RESOLVING_ROUNDS_MAX):
            found = await self.books.unknown_transfers(
                limit=RESOLVED_AT_ONCE_MAX,
                peer=None if account is None else account.id,
                payment=payment,
            )
            if not found:
                break
            # They share a transaction where they wait together, and each is decided by itself.
            answers = await asyncio.gather(
                *(self.books.resolve_unknown(one.id, fulfilled=fulfilled) for one in found),
                return_exceptions=True,
            )
            for one, answer in zip(found, answers, strict=True):
                if answer is None:
                    transfers += 1
                    sums[asset_of(self.directory, one.to_account)] += one.outgoing_amount
                elif not isinstance(answer, TransferDecided):  # whose proof came meanwhile
                    raise answer
        more = await self.books.unknown_transfers(
            limit=1, peer=None if account is None else account.id, payment=payment
        )
        log.info(
            "%s, left open by a crash, resolved as %s: %s",
            counted(transfers, "transfer"),
            "fulfilled, and owed" if fulfilled else "not fulfilled",
            ", ".join(format_amount(amount, asset) for asset, amount in sums.items()) or "none",
        )
        return UnknownResolved(transfers=transfers, sums=sums, more=bool(more))

    async def correct(self, username: str, amount: int, reason: str) -> AccountView:
        account = find_account(self.directory, username)
        text = reason.strip()
        if not text:
            raise SettingError("reason", "it is empty; a correction is kept with its reason")
        if len(text) > REASON_CHARACTERS_MAX:
            raise SettingError(
                "reason", f"it has {len(text)} characters, {REASON_CHARACTERS_MAX} are allowed"
            )
        if amount == 0 or abs(amount) > AMOUNT_MAX_BOOKED:
            raise SettingError(
                "amount",
                f"{amount} was found; it needs one that is not 0 and that the books carry",
            )
        await self.books.correct(account.id, amount, text)
        log.info(
            "balance of %s corrected by %s: %s",
            account.username,
            format_amount(amount, account.asset),
            text,
        )
        return await self.accounts.one(account.username)

    async def audit(self) -> AuditReport:
        return await self.books.audit()

    async def exposure(self) -> Sequence[Exposure]:
        balances = await self.books.balances()
        sums: dict[Asset, list[Balance]] = {}
        for account in self.directory.all():
            sums.setdefault(account.asset, []).append(balances.get(account.id, Balance()))
        return tuple(
            _exposure(asset, sums[asset])
            for asset in sorted(sums, key=lambda asset: (asset.code, asset.scale))
        )


def _exposure(asset: Asset, balances: Sequence[Balance]) -> Exposure:
    # Between two accounts of one asset a packet is pending on both: it is in flight once.
    pending_in = sum(balance.pending_in for balance in balances)
    pending_out = sum(balance.pending_out for balance in balances)
    return Exposure(
        asset=asset,
        owed_to_us=sum(max(-balance.net, 0) for balance in balances),
        owed_by_us=sum(max(balance.net, 0) for balance in balances),
        in_flight=max(pending_in, pending_out),
        unknown=sum(balance.unknown_out for balance in balances),
    )
