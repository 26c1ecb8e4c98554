from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from core.control.peering_views import AutoPeerRequest
from core.errors import SettingError
from desktop.models.auto_peer import AutoPeered, AutoPeerForm
from desktop.presenters.auto_peer import AutoPeerPresenter, request_of
from desktop.tasks import TaskScope
from tests.desktop.fake_operator import FakeOperator

FORM = AutoPeerForm(
    url=" https://rafiki.example/auto-peering ",
    asset_code="usd",
    asset_scale="2",
    our_url="https://node.example",
    credit="12.50",
)


class Offered:
    """A presenter, and what it told."""

    def __init__(self, operator: FakeOperator) -> None:
        self.operator = operator
        self.tasks = TaskScope()
        self.presenter = AutoPeerPresenter(operator, self.tasks)
        self.refusals: list[tuple[str, str]] = []
        self.peered: list[AutoPeered] = []
        self.working: list[bool] = []
        self.presenter.refused.connect(lambda field, why: self.refusals.append((field, why)))
        self.presenter.peered.connect(self.peered.append)
        self.presenter.working_changed.connect(self.working.append)

    async def offer(self, **changes: Any) -> None:
        self.presenter.offer(replace(FORM, **changes))
        await self.tasks.finish()
        await asyncio.sleep(0)


@pytest.fixture
async def offered() -> AsyncIterator[Offered]:
    made = Offered(FakeOperator())
    yield made
    await made.tasks.cancel()


def test_what_was_typed_becomes_an_exact_request() -> None:
    request = request_of(replace(FORM, max_packet="1", username="rafiki"))

    assert request == AutoPeerRequest(
        url="https://rafiki.example/auto-peering",
        asset_code="USD",
        asset_scale=2,
        our_url="https://node.example",
        username="rafiki",
        max_packet_amount=100,
        min_balance=-1_250,
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": " "}, "url"),
        ({"our_url": ""}, "our_url"),
        ({"asset_code": ""}, "asset_code"),
        ({"asset_scale": "two"}, "asset_scale"),
        ({"asset_scale": "256"}, "asset_scale"),
        ({"asset_scale": "9" * 5000}, "asset_scale"),
        ({"credit": "1.005"}, "credit"),
        ({"max_packet": "0"}, "max_packet"),
    ],
)
def test_what_cannot_be_is_told_with_its_field(changes: dict[str, str], field: str) -> None:
    with pytest.raises(SettingError) as caught:
        request_of(replace(FORM, **changes))  # type: ignore[arg-type]

    assert caught.value.field == field


async def test_a_peering_is_told_with_what_to_think_of(offered: Offered) -> None:
    await offered.offer(credit="")

    [peered] = offered.peered
    assert peered.username == "rafiki"
    assert peered.sentence.endswith("▲ min_balance: it has to pay ahead")
    assert offered.working == [True, False]
    assert "rafiki" in offered.operator.views


async def test_a_refusal_is_told_in_their_words(offered: Offered) -> None:
    await offered.offer(url="https://refuses.example")

    assert offered.refusals == [("", "They take no peer that counts in that.")]
    assert not offered.peered


async def test_an_offer_without_an_answer_can_be_cancelled_and_says_what_that_leaves(
    offered: Offered,
) -> None:
    offered.presenter.offer(replace(FORM, url="https://silent.example"))
    await asyncio.sleep(0)
    assert offered.working == [True]

    offered.presenter.cancel()
    await offered.tasks.finish()
    await asyncio.sleep(0)

    assert offered.working == [True, False]
    [(_, why)] = offered.refusals
    assert "the other node expects this one" in why
