"""The payments page: paying with a quote, progress and cancel; asking for money; what was paid and came in."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

from PySide6.QtCore import QObject, Signal

from core.account import Asset
from core.clock import Clock
from core.control.operator import Operator
from core.control.payment_csv import PAYMENT_COLUMNS, csv_lines, payment_lines
from core.control.payment_views import (
    InvoiceOrder,
    InvoiceQuery,
    InvoiceView,
    PaymentOrder,
    PaymentQuery,
    PaymentQuote,
    PaymentView,
    ReceivedQuery,
    ReceivedView,
    UndecidedOfPayment,
)
from core.control.shares import read_share
from core.control.views import AccountView
from core.errors import InterledgerError, SettingError
from core.payments.records import PaymentState
from desktop import formatting
from desktop.models.payments import (
    InvoiceRow,
    InvoicesModel,
    Payer,
    PayForm,
    PaymentFilter,
    PaymentRow,
    PaymentsModel,
    QuoteShown,
    ReceivedModel,
    ReceivedRow,
)
from desktop.models.table import TableModel
from desktop.presenters.decimals import decimal_text, rate_text
from desktop.presenters.names import Names
from desktop.presenters.page import PagePresenter
from desktop.presenters.peer_editor import readable
from desktop.presenters.peer_rows import RELATIONS
from desktop.presenters.pieces import in_pieces
from desktop.tasks import sentence

PAGE_ROWS: Final = 100
ROWS_MAX: Final = 1_000
"""Of each list; what is older is in the CSV file."""
FOLLOW_SECONDS: Final = 5.0
UNDECIDED_SECONDS: Final = 10.0
ROUNDING_SHOWN: Final = Fraction(1, 10_000)
"""A smaller share is nobody's concern."""
UNITS: Final = ("units", 0)
"""How a receiver's amounts are counted who does not say in what."""

T = TypeVar("T")
R = TypeVar("R")


class PaymentsPresenter(PagePresenter):
    """Pays from any account, and shows what was paid, asked for and received."""

    payers_changed = Signal(object)
    """The accounts to pay from, as Payers."""
    asking_changed = Signal(bool)
    """A quote is being asked for: up to ten seconds."""
    quoted = Signal(object)
    """The QuoteShown, or None where what was typed has changed since."""
    refused = Signal(str, str)
    """A field of the form, or nothing, and why there is no quote."""
    current_changed = Signal(object)
    """The payment that is followed, as a PaymentRow."""
    address_changed = Signal(str, str)
    """An account's username, and the pointer or URL at which it is paid."""
    invoice_made = Signal(str)
    """The id of a request for money that was just made."""
    undecided_changed = Signal(str)
    """What is undecided of all payments, in words; empty where nothing is."""
    loaded_changed = Signal(bool)

    def __init__(
        self,
        operator: Operator,
        clock: Clock,
        names: Names | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(operator, clock, parent)
        self.names = names or Names()
        self.history = PaymentsModel(self)
        self.invoices = InvoicesModel(self)
        self.received = ReceivedModel(self)
        self.payers: Sequence[Payer] = ()
        self.loaded = False
        self.quote_shown: QuoteShown | None = None
        self.undecided = ""
        self._undecided_at = float("-inf")
        self.current: PaymentRow | None = None
        self._order: PaymentOrder | None = None
        self._asked = 0
        self._following: asyncio.Task[None] | None = None

    async def update(self) -> None:
        accounts = await self.operator.accounts()
        self.names.learn(accounts)
        payers = payers_of(accounts)
        if payers != self.payers:
            self.payers = payers
            self.payers_changed.emit(payers)
        await self._update_history()
        await self._update_invoices()
        await self._update_received()
        await self._update_undecided()
        if not self.loaded:
            self.loaded = True
            self.loaded_changed.emit(True)

    async def _update_history(self) -> None:
        async def page(before: int | None) -> tuple[Sequence[PaymentView], int | None]:
            found = await self.operator.payments(PaymentQuery(before=before, limit=PAGE_ROWS))
            return found.rows, found.next

        await self._update_list(self.history, page, payment_row, lambda row: row.id)

    async def _update_invoices(self) -> None:
        async def page(before: int | None) -> tuple[Sequence[InvoiceView], int | None]:
            found = await self.operator.invoices(InvoiceQuery(before=before, limit=PAGE_ROWS))
            return found.rows, found.next

        await self._update_list(self.invoices, page, invoice_row, lambda row: row.id)

    async def _update_received(self) -> None:
        async def page(before: int | None) -> tuple[Sequence[ReceivedView], int | None]:
            found = await self.operator.received_payments(
                ReceivedQuery(before=before, limit=PAGE_ROWS)
            )
            return found.rows, found.next

        await self._update_list(self.received, page, received_row, lambda row: row.number)

    async def _update_undecided(self) -> None:
        """Say how much of all payments is undecided, also of those that are too old to be listed."""
        now = self.clock.monotonic()
        if now - self._undecided_at < UNDECIDED_SECONDS:
            return
        self._undecided_at = now
        words = undecided_words((await self.operator.undecided_sums()).payments)
        if words != self.undecided:
            self.undecided = words
            self.undecided_changed.emit(words)

    async def _update_list(
        self,
        model: TableModel[R],
        page: Callable[[int | None], Awaitable[tuple[Sequence[T], int | None]]],
        row_of: Callable[[T, Names], R],
        key: Callable[[R], object],
    ) -> None:
        """Show the newest views of a list as rows, and behind them the older ones that were known."""
        views = await self._newest(page, first=not self.loaded)
        rows = await in_pieces(views, lambda view: row_of(view, self.names))
        model.replace(_merged(model.rows, rows, key))

    @staticmethod
    async def _newest(
        page: Callable[[int | None], Awaitable[tuple[Sequence[T], int | None]]], *, first: bool
    ) -> list[T]:
        """Return the newest page; at first as many as are shown at all."""
        found: list[T] = []
        before: int | None = None
        while True:
            rows, before = await page(before)
            found += rows
            if before is None or not first or len(found) >= ROWS_MAX:
                return found

    # --- Paying

    def asset_of(self, username: str) -> tuple[str, int] | None:
        """Return what this account counts."""
        return next((p.asset for p in self.payers if p.username == username), None)

    def warning_of(self, username: str) -> str:
        """Return what to think of before paying from this account; empty where there is nothing."""
        return next((p.warning for p in self.payers if p.username == username), "")

    def ask(self, form: PayForm) -> None:
        """Ask what this payment would cost and bring; no money moves."""
        self._asked += 1
        self.tasks.start(self.quote(form), name="asking for a quote")

    def forget_quote(self) -> None:
        """Another payment is being typed: the quote is no longer what would be paid."""
        self._asked += 1
        self._order = None
        if self.quote_shown is not None:
            self.quote_shown = None
            self.quoted.emit(None)

    async def quote(self, form: PayForm) -> None:
        """Ask, and return when it is answered."""
        asked = self._asked
        self.asking_changed.emit(True)
        try:
            order, found = await self._quote(form)
        except formatting.AmountProblem as problem:
            self.refused.emit("amount", str(problem))
        except SettingError as fault:
            self.refused.emit(_field_of(fault.field), readable(fault.problem))
        except InterledgerError as error:
            self.refused.emit("", sentence(error))
        else:
            if asked == self._asked:
                self._order = order
                self.quote_shown = quote_shown(form, found)
                self.quoted.emit(self.quote_shown)
        finally:
            self.asking_changed.emit(False)

    async def _quote(self, form: PayForm) -> tuple[PaymentOrder, PaymentQuote]:
        asset = self.asset_of(form.username)
        if asset is None:
            raise SettingError("username", "choose the account to pay from")
        if not form.receiver.strip():
            raise SettingError(
                "receiver", "a payment pointer is needed, as in $example.com/bob"
            )
        slippage = read_share("slippage", form.slippage) if form.slippage.strip() else None
        order = PaymentOrder(
            username=form.username,
            receiver=form.receiver.strip(),
            slippage=slippage,
            memo=form.memo.strip(),
        )
        if not form.fixes_delivery:
            amount = formatting.parse_amount(form.amount, *asset, minimum=1)
            order = replace(order, source_amount=amount)
            return order, await self.operator.quote_payment(order)
        # What the receiver counts is not known before it was asked: the smallest payment asks it.
        asking = replace(order, source_amount=1)
        theirs = (await self.operator.quote_payment(asking)).receiver_asset
        amount = formatting.parse_amount(
            form.amount, *(UNITS if theirs is None else _asset(theirs)), minimum=1
        )
        order = replace(order, delivered_amount=amount)
        return order, await self.operator.quote_payment(order)

    def pay(self) -> None:
        """Pay what was quoted."""
        order = self._order
        if order is None:
            return
        self.forget_quote()
        key = secrets.token_urlsafe(16)

        async def work() -> str:
            view = await self.operator.start_payment(order, idempotency_key=key)
            self.follow(view.id, reports=True)
            return f"Paying {order.receiver}"

        self.run(work, name=f"paying {order.receiver}")

    def follow(self, payment_id: str, *, reports: bool = False) -> None:
        """Show how far this payment is, until it has ended; and report its end, where its start was."""
        if self._following is not None:
            self._following.cancel()
        self._following = self.tasks.spawn(self._follow(payment_id, reports=reports))

    async def _follow(self, payment_id: str, *, reports: bool) -> None:
        view = await self.operator.payment(payment_id)
        while True:
            self.current = payment_row(view, self.names)
            self.current_changed.emit(self.current)
            if view.state.is_final:
                # That it was cancelled is reported by who cancelled it.
                if reports and view.state is not PaymentState.CANCELLED:
                    words = self.current.state_text.lower()
                    self.reported.emit(f"The payment to {view.receiver} is {words}")
                self.refresh()
                return
            view = await self.operator.wait_for_payment(
                payment_id, after_change=view.change, seconds=FOLLOW_SECONDS
            )

    def cancel(self, payment_id: str) -> None:
        """Send nothing more of this payment."""

        async def work() -> str:
            view = await self.operator.cancel_payment(payment_id)
            return f"The payment to {view.receiver} is cancelled; what was sent stays sent"

        self.run(work, name="cancelling a payment")

    # --- Being paid

    def show_address(self, username: str) -> None:
        """Find out how this account is paid."""

        async def load() -> None:
            found = await self.operator.receive_address(username)
            self.address_changed.emit(found.username, found.payment_pointer or found.url)

        if username:
            self.tasks.start(load())

    def invoice_problem(self, username: str, amount: str) -> str:
        """Return why no request can be made of this, or nothing."""
        asset = self.asset_of(username)
        if asset is None:
            return "Choose the account that is to be paid."
        try:
            formatting.parse_amount(amount, *asset, minimum=1)
        except formatting.AmountProblem as problem:
            return str(problem)
        return ""

    def ask_for(self, username: str, amount: str, description: str, expires: str) -> None:
        """Make a request for money; its pointer is for who shall pay."""
        asset = self.asset_of(username)
        if asset is None:
            return
        value = formatting.parse_amount(amount, *asset, minimum=1)
        order = InvoiceOrder(
            username=username,
            amount=value,
            description=description.strip(),
            expires_in_seconds=int(expires) if expires else None,
        )

        async def work() -> str:
            view = await self.operator.create_invoice(order)
            await self._update_invoices()
            self.invoice_made.emit(view.id)
            return f"{formatting.amount(value, *asset)} are asked for"

        self.run(work, name="asking for money")

    def cancel_invoice(self, invoice_id: str) -> None:
        """Take nothing more for this request."""

        async def work() -> str:
            await self.operator.cancel_invoice(invoice_id)
            return "The request is cancelled"

        self.run(work, name="cancelling a request")

    # --- History

    def filter(self, wanted: PaymentFilter) -> None:
        """Leave only the payments that pass."""
        self.history.set_filter(wanted.passes if wanted else None)

    def export(self, path: Path) -> None:
        """Write every payment, also those that are not shown, into a CSV file."""

        async def work() -> str:
            draft = path.with_name(f"{path.name}.part")
            try:
                count = await self._write_all(draft)
                await asyncio.to_thread(draft.replace, path)
            except OSError as error:
                raise SettingError(
                    "file", f"{path} cannot be written: {error.strerror}"
                ) from None
            finally:
                await asyncio.to_thread(_remove, draft)
            return f"{formatting.counted(count, 'payment')} written to {path.name}"

        self.run(work, name="exporting payments")

    async def _write_all(self, path: Path) -> int:
        """Write every payment, page by page, and return how many there are: only one page is held."""
        count, before = 0, None
        text = csv_lines([PAYMENT_COLUMNS])
        with await asyncio.to_thread(path.open, "w", encoding="utf-8", newline="") as file:
            while True:
                page = await self.operator.payments(
                    PaymentQuery(before=before, limit=PAGE_ROWS)
                )
                count += len(page.rows)
                await asyncio.to_thread(file.write, text + payment_lines(page.rows))
                text = ""
                if (before := page.next) is None:
                    return count


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


# --- From the node's views to what is shown


def payers_of(accounts: Iterable[AccountView]) -> Sequence[Payer]:
    """Return who can pay, customers first: who pays by default is never another node."""
    payers = [
        Payer(
            username=view.account.username,
            name=view.account.name,
            asset=_asset(view.account.asset),
            relation=RELATIONS[view.account.routing_relation],
        )
        for view in accounts
    ]
    return tuple(sorted(payers, key=lambda payer: not payer.is_customer))


def undecided_words(payments: Iterable[UndecidedOfPayment]) -> str:
    """Return what is undecided of payments, added up for each asset; empty where nothing is."""
    sums: dict[tuple[str, int], int] = {}
    count = 0
    for payment in payments:
        asset = _asset(payment.asset)
        sums[asset] = sums.get(asset, 0) + payment.amount
        count += 1
    if not count:
        return ""
    amounts = " and ".join(formatting.amount(sums[asset], *asset) for asset in sorted(sums))
    return (
        f"{amounts} of {formatting.counted(count, 'payment')} undecided: no account was charged, and it "
        "may have arrived."
    )


def payment_row(view: PaymentView, names: Names) -> PaymentRow:
    """Return a payment as a row of its table."""
    return PaymentRow(
        id=view.id,
        username=view.username,
        name=names.of(view.username),
        receiver=view.receiver,
        destination=view.destination,
        asset=_asset(view.asset),
        receiver_asset=None if view.receiver_asset is None else _asset(view.receiver_asset),
        source_amount=view.source_amount,
        delivered_amount=view.delivered_amount,
        sent=view.sent,
        in_flight=view.in_flight,
        undecided=view.undecided,
        delivered=view.delivered,
        delivered_exact=view.delivered_exact,
        state=view.state.value,
        cancel_requested=view.cancel_requested,
        progress_percent=int(view.progress * 100),
        packets=view.packets,
        rejects=view.rejects,
        rate_text=formatting.packets_per_second(view.packets_per_second),
        reject_code=view.reject_code,
        triggered_by=view.triggered_by,
        reason=view.reason,
        sentence=view.sentence,
        memo=view.memo,
        created_at_ms=view.created_at_ms,
        updated_at_ms=view.updated_at_ms,
        ended_at_ms=view.ended_at_ms,
        late=view.late,
        violations=tuple(view.violations),
        receipts=tuple(
            (each.stream, each.total, urlsafe_b64encode(each.receipt).decode())
            for each in view.receipts
        ),
        receiver_text=view.receiver_text,
    )


def invoice_row(view: InvoiceView, names: Names) -> InvoiceRow:
    """Return a request for money as a row of its table."""
    return InvoiceRow(
        id=view.id,
        username=view.username,
        name=names.of(view.username),
        asset=_asset(view.asset),
        amount=view.amount,
        received=view.received,
        description=view.description,
        state=view.state.value,
        payment_pointer=view.payment_pointer or "",
        url=view.url,
        sentence=view.sentence,
        created_at_ms=view.created_at_ms,
        expires_at_ms=view.expires_at_ms,
        paid_at_ms=view.paid_at_ms,
    )


def received_row(view: ReceivedView, names: Names) -> ReceivedRow:
    """Return what came in as a row of its table."""
    return ReceivedRow(
        number=view.number,
        username=view.username,
        name=names.of(view.username),
        from_name=names.of(view.from_username),
        asset=_asset(view.asset),
        received=view.received,
        packets=view.packets,
        destination=view.destination,
        invoice=view.invoice or "",
        closed=view.closed,
        first_at_ms=view.first_at_ms,
        last_at_ms=view.last_at_ms,
        payer_text=view.payer_text,
    )


def quote_shown(form: PayForm, quote: PaymentQuote) -> QuoteShown:
    """Return a quote as it is shown."""
    ours = _asset(quote.asset)
    theirs = UNITS if quote.receiver_asset is None else _asset(quote.receiver_asset)
    facts = [
        ("At most sent", formatting.amount(quote.source_amount, *ours)),
        ("Arrives, as probed", formatting.amount(quote.delivered_amount, *theirs)),
        ("At least arrives", formatting.amount(quote.delivered_amount_min, *theirs)),
        ("Rate", rate_text(quote.rate, ours, theirs)),
    ]
    if quote.fees is not None:
        facts.append(("Kept on the way", f"{_percent(quote.fees)} of the market rate"))
    if quote.packet_amount_max is not None:
        facts.append(("Largest packet", formatting.amount(quote.packet_amount_max, *ours)))
    if quote.lost_by_rounding >= ROUNDING_SHOWN:
        facts.append(("Lost by rounding", f"at most {_percent(quote.lost_by_rounding)}"))
    if quote.available is not None:
        facts.append(("Left to send", formatting.amount(quote.available, *ours)))
    facts.append(("Receiver", quote.destination))
    return QuoteShown(
        form=form,
        sentence=quote.sentence,
        facts=tuple(facts),
        problems=tuple(quote.problems),
        warnings=tuple(quote.warnings),
        pay_text=f"Pay {formatting.amount(quote.source_amount, *ours)}",
    )


def _merged(before: Sequence[T], newest: Sequence[T], key: Callable[[T], object]) -> list[T]:
    """Return the newest rows, and behind them the older ones that were known."""
    known = {key(row) for row in newest}
    return [*newest, *(row for row in before if key(row) not in known)][:ROWS_MAX]


def _percent(share: Fraction) -> str:
    return f"{decimal_text(share * 100, 3)}\u00a0%"


def _field_of(field: str) -> str:
    """Return the form's field for one of the order's."""
    return "amount" if field in ("source_amount", "delivered_amount") else field


def _asset(asset: Asset) -> tuple[str, int]:
    return asset.code, asset.scale
