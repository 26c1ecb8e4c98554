from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from core.control.payment_views import PaymentPage, PaymentQuery, ReceiptView
from core.errors import StoreUnavailable
from desktop.models.payments import PayForm, PaymentFilter, PaymentRow, QuoteShown
from desktop.presenters.decimals import decimal_text, rate_text
from desktop.presenters.names import Names
from desktop.presenters.payments import PaymentsPresenter, payment_row
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import until

FORM = PayForm(
    username="bob", receiver="$wallet.example/bob", amount="12.40", fixes_delivery=False
)


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def payments(operator: FakeOperator) -> AsyncIterator[PaymentsPresenter]:
    presenter = PaymentsPresenter(operator, operator.clock)
    await presenter.update_and_report()
    yield presenter
    await presenter.close()


def called(operator: FakeOperator, name: str) -> list[object]:
    return [call[1] for call in operator.calls if call[0] == name]


async def test_a_quote_is_asked_in_smallest_units_and_shown_in_whole_ones(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    quotes: list[QuoteShown] = []
    payments.quoted.connect(quotes.append)

    await payments.quote(FORM)

    [order] = called(operator, "quote_payment")
    assert getattr(order, "source_amount", None) == 1240
    facts = dict(quotes[-1].facts)
    assert facts["At most sent"] == "12.40\u00a0USD"
    assert facts["At least arrives"] == "10.99\u00a0EUR"
    assert facts["Rate"] == "1 USD = 0.9 EUR"


async def test_an_amount_that_they_get_is_read_in_what_they_count(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    await payments.quote(replace(FORM, amount="9.50", fixes_delivery=True))

    asking, order = called(operator, "quote_payment")
    assert getattr(asking, "source_amount", None) == 1
    assert getattr(order, "delivered_amount", None) == 950


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        (replace(FORM, amount="12.405"), "amount", "cannot be represented"),
        (replace(FORM, receiver=" "), "receiver", "payment pointer is needed"),
        (replace(FORM, slippage="lots"), "slippage", "needs a number"),
        (replace(FORM, receiver="$nobody.example"), "", "its host does not answer"),
    ],
)
async def test_what_cannot_be_paid_is_said_beside_its_field(
    payments: PaymentsPresenter, form: PayForm, field: str, words: str
) -> None:
    said: list[tuple[str, str]] = []
    payments.refused.connect(lambda where, why: said.append((where, why)))

    await payments.quote(form)

    assert said[0][0] == field
    assert words in said[0][1]
    assert payments.quote_shown is None


async def test_a_quote_that_no_longer_fits_cannot_be_paid(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    await payments.quote(FORM)
    payments.forget_quote()

    payments.pay()
    await payments.tasks.finish()

    assert called(operator, "start_payment") == []


async def test_a_payment_is_paid_once_and_followed_to_its_end(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    seen: list[PaymentRow] = []
    said: list[str] = []
    payments.current_changed.connect(seen.append)
    payments.reported.connect(said.append)
    await payments.quote(FORM)

    payments.pay()
    payments.pay()
    await until(lambda: bool(seen) and not seen[-1].is_open)

    assert said == [f"Paying {FORM.receiver}", f"The payment to {FORM.receiver} is completed"]
    assert len(called(operator, "start_payment")) == 1
    assert seen[0].state == "pending"
    assert [row.progress_percent for row in seen] == sorted(
        row.progress_percent for row in seen
    )
    assert seen[-1].sent == 1240


async def test_a_payment_that_is_cancelled_keeps_what_was_sent(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    seen: list[PaymentRow] = []
    payments.current_changed.connect(seen.append)
    await payments.quote(FORM)
    payments.pay()
    await until(lambda: bool(seen) and seen[-1].sent > 0)

    payments.cancel(seen[-1].id)
    await until(lambda: not seen[-1].is_open)

    assert seen[-1].state == "cancelled"
    assert 0 < seen[-1].sent < 1240


async def test_a_thousand_payments_are_loaded_once_and_then_only_the_newest(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    operator.add_payments(1_000)
    presenter = PaymentsPresenter(operator, operator.clock)
    await presenter.update_and_report()
    before = len(called(operator, "payments"))

    await presenter.update_and_report()

    assert presenter.history.total == 1_000
    assert len(called(operator, "payments")) == before + 1
    presenter.filter(PaymentFilter(state="failed"))
    assert presenter.history.shown == 200
    await presenter.close()


async def test_a_row_has_what_the_receiver_signed_and_wrote_and_what_is_not_sure(
    operator: FakeOperator,
) -> None:
    operator.add_payments(1)
    view = replace(
        operator.payment_views[0],
        delivered=1_130,
        delivered_exact=False,
        undecided=5,
        late=7,
        receipts=(ReceiptView(1, 1_100, b"\xff\xfe"),),
        violations=("it confirmed less than before",),
        receiver_text="thank you",
    )

    row = payment_row(view, Names())

    assert row.delivered_words == "at least 11.30\u00a0EUR"
    assert row.receipts == ((1, 1_100, "__4="),)
    assert (row.late, row.receiver_text) == (7, "thank you")
    assert row.violations == ("it confirmed less than before",)
    assert PaymentFilter(state="undecided").passes(row)
    assert not PaymentFilter(state="undecided").passes(replace(row, undecided=0))


async def test_a_quotes_warnings_and_rounding_are_shown_and_hinder_nothing(
    operator: FakeOperator, payments: PaymentsPresenter
) -> None:
    quotes: list[QuoteShown] = []
    payments.quoted.connect(quotes.append)
    operator.quote_changes = {
        "warnings": ("The receiver counts in few units.",),
        "lost_by_rounding": Fraction(1, 200),
    }

    await payments.quote(FORM)

    assert quotes[-1].warnings == ("The receiver counts in few units.",)
    assert not quotes[-1].problems
    assert dict(quotes[-1].facts)["Lost by rounding"] == "at most 0.5\u00a0%"


async def test_a_csv_file_has_every_payment_exactly_and_no_formula(
    operator: FakeOperator, payments: PaymentsPresenter, tmp_path: Path
) -> None:
    operator.add_payments(150)
    operator.payment_views[0] = replace(operator.payment_views[0], memo="=HYPERLINK(1)")

    payments.export(tmp_path / "payments.csv")
    await payments.tasks.finish()

    rows = list(csv.DictReader(io.StringIO((tmp_path / "payments.csv").read_text())))
    assert len(rows) == 150
    assert rows[-1]["memo"] == "'=HYPERLINK(1)"
    views = {view.id: view for view in operator.payment_views}
    for row in rows:
        view = views[row["id"]]
        assert Fraction(row["sent"]) * 10**view.asset.scale == view.sent
    assert rows[0].keys() >= {"delivered_exact", "violations", "receiver_text"}


async def test_a_csv_file_that_cannot_be_finished_leaves_the_one_before_as_it_was(
    operator: FakeOperator, payments: PaymentsPresenter, tmp_path: Path
) -> None:
    operator.add_payments(350)
    (tmp_path / "payments.csv").write_text("of last year")
    failures: list[str] = []
    payments.failed.connect(failures.append)
    pages = operator.payments

    async def broken(query: PaymentQuery) -> PaymentPage:
        if query.before == 200:
            raise StoreUnavailable("the disk is gone")
        return await pages(query)

    operator.payments = broken  # type: ignore[method-assign]
    payments.export(tmp_path / "payments.csv")
    await payments.tasks.finish()

    assert failures == ["The disk is gone."]
    assert not (tmp_path / "payments.csv.part").exists()
    assert (tmp_path / "payments.csv").read_text() == "of last year"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(9, 10), "0.9"),
        (Fraction(1, 3), "0.333333…"),
        (Fraction(1234567), "1\u202f234\u202f567"),
        (Fraction(1, 10**9), "0.000000001"),
        (Fraction(0), "0"),
    ],
)
def test_a_rate_keeps_the_digits_that_count(value: Fraction, text: str) -> None:
    assert decimal_text(value) == text


def test_a_rate_of_smallest_units_is_told_in_whole_ones() -> None:
    assert rate_text(Fraction(10**7, 3), ("USD", 2), ("XRP", 9)) == "1 USD = 0.333333… XRP"
