from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.control.peering_views import PingKind
from desktop.models.ping import PingForm, PingShown
from desktop.presenters.ping import PingPresenter
from desktop.tasks import TaskScope
from tests.desktop.fake_operator import FakeOperator


class Pinged:
    """A presenter, and what it told."""

    def __init__(self, operator: FakeOperator) -> None:
        self.operator = operator
        self.tasks = TaskScope()
        self.presenter = PingPresenter(operator, self.tasks)
        self.shown: list[PingShown] = []
        self.refusals: list[tuple[str, str]] = []
        self.presenter.pinged.connect(self.shown.append)
        self.presenter.refused.connect(lambda field, why: self.refusals.append((field, why)))

    async def ping(self, form: PingForm, asset: tuple[str, int] | None = None) -> None:
        self.presenter.ping(form, asset)
        await self.tasks.finish()
        await asyncio.sleep(0)

    @property
    def calls(self) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.operator.calls if call[0] == "ping_address"]


@pytest.fixture
async def pinged() -> AsyncIterator[Pinged]:
    made = Pinged(FakeOperator())
    yield made
    await made.tasks.cancel()


async def test_a_ping_without_an_amount_is_charged_to_nobody(pinged: Pinged) -> None:
    await pinged.ping(PingForm(destination=" g.there ", count="3", username="bob"), ("USD", 2))

    assert pinged.calls == [("g.there", PingKind.ECHO, 0, None, 3)]
    [shown] = pinged.shown
    assert shown.answered
    facts = dict(shown.facts)
    assert facts["Answered"] == "3 of 3"
    assert facts["On average"] == "12.0\u00a0ms"
    assert "Sent in each" not in facts


async def test_an_amount_is_read_exactly_and_what_comes_back_is_told(pinged: Pinged) -> None:
    await pinged.ping(
        PingForm(destination="g.there", amount="1.50", username="bob", kind="one way"),
        ("USD", 2),
    )

    assert pinged.calls == [("g.there", PingKind.ONE_WAY, 150, "bob", 1)]
    facts = dict(pinged.shown[0].facts)
    assert facts["Sent in each"] == "1.50\u00a0USD"
    assert facts["Came back"] == "0.99 USD for 1 USD"
    assert facts["Took"] == "12.0\u00a0ms"


async def test_who_says_no_on_the_way_is_named(pinged: Pinged) -> None:
    await pinged.ping(PingForm(destination="g.nobody"))

    [shown] = pinged.shown
    assert not shown.answered
    assert "F02 from test.hop" in shown.sentence


@pytest.mark.parametrize(
    ("form", "asset", "field"),
    [
        (PingForm(destination=" "), None, "destination"),
        (PingForm(destination="g.a", count="21"), None, "count"),
        (PingForm(destination="g.a", count="some"), None, "count"),
        (PingForm(destination="g.a", count="9" * 5000), None, "count"),
        (PingForm(destination="g.a", amount="1"), None, "username"),
        (PingForm(destination="g.a", amount="1.005"), ("USD", 2), "amount"),
    ],
)
async def test_what_cannot_be_sent_is_told_beside_its_field(
    pinged: Pinged, form: PingForm, asset: tuple[str, int] | None, field: str
) -> None:
    await pinged.ping(form, asset)

    assert [told for told, _ in pinged.refusals] == [field]
    assert not pinged.calls
