"""Pinging any address and peering by itself, as they are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from PySide6.QtWidgets import QApplication

from desktop.presenters.peers import PeersPresenter
from desktop.presenters.routes import RoutesPresenter
from desktop.views.auto_peer_dialog import AutoPeerDialog
from desktop.views.peers import PeersPage
from desktop.views.ping_dialog import PingDialog
from desktop.views.routes import RoutesPage
from desktop.views.widgets import SPACE
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import until


@pytest.fixture
def operator() -> FakeOperator:
    return FakeOperator()


@pytest.fixture
async def routes(operator: FakeOperator, qapp: QApplication) -> AsyncIterator[RoutesPage]:
    page = RoutesPage(RoutesPresenter(operator, operator.clock))
    page.show()
    await page.presenter.update_and_report()
    yield page
    page.hide()
    await page.presenter.close()
    page.detail.deleteLater()
    page.deleteLater()
    await asyncio.sleep(0.01)


@pytest.fixture
async def peers(operator: FakeOperator, qapp: QApplication) -> AsyncIterator[PeersPage]:
    page = PeersPage(PeersPresenter(operator, operator.clock))
    page.show()
    await page.presenter.update_and_report()
    yield page
    page.hide()
    await page.presenter.close()
    page.peer_inspector.deleteLater()
    page.deleteLater()
    await asyncio.sleep(0.01)


async def test_an_address_is_pinged_from_where_it_was_looked_up(routes: RoutesPage) -> None:
    routes.destination.setText("test.bank.tokyo")
    routes.ping_button.click()
    [dialog] = routes.findChildren(PingDialog)
    assert dialog.destination.text() == "test.bank.tokyo"

    dialog.ping_button.click()
    await routes.routes.tasks.finish()

    assert dialog.pill.text == "Answered"
    assert dialog.facts.text_of("Answered") == "3 of 3"
    assert dialog.attempts.text().count("✓ It answered.") == 3
    assert not dialog.attempts.isVisible(), "what is said of each alike is said once"
    dialog.close_button.click()


async def test_the_hop_that_rejects_a_ping_is_shown(routes: RoutesPage) -> None:
    routes.ping_button.click()
    [dialog] = routes.findChildren(PingDialog)
    dialog.destination.setText("g.nobody")

    dialog.ping_button.click()
    await routes.routes.tasks.finish()

    assert dialog.pill.text == "No answer"
    assert "F02 from test.hop" in dialog.sentence.text()
    layout = dialog.layout()
    assert layout is not None
    needed = layout.totalHeightForWidth(dialog.width())
    waiting = dialog.progress.sizeHint().height() + SPACE
    assert needed <= dialog.height() <= needed + waiting, "no higher than it had to be"

    for destination, outcome in (("test.bank.tokyo", "Answered"), ("g.nobody", "No answer")):
        await until(dialog.ping_button.isEnabled)
        dialog.destination.setText(destination)
        dialog.ping_button.click()
        await until(lambda outcome=outcome: dialog.pill.text == outcome)  # type: ignore[misc]
    needed = dialog.facts.heightForWidth(dialog.facts.width())
    assert dialog.facts.height() == needed, "what room is left stands above the buttons"
    dialog.close_button.click()


async def test_a_peer_is_made_in_one_step_and_shown(
    operator: FakeOperator, peers: PeersPage
) -> None:
    peers.auto_button.click()
    [dialog] = peers.findChildren(AutoPeerDialog)
    assert dialog.lines["asset_code"].text() == "USD"
    dialog.lines["url"].setText("https://rafiki.example/auto-peering")
    dialog.lines["our_url"].setText("https://node.example")

    dialog.offer_button.click()
    await peers.peers.tasks.finish()
    assert "Rafiki took this node" in dialog.answer.text()
    assert not dialog.offer_button.isVisible()

    dialog.show_button.click()
    await until(lambda: peers.peers.selected == "rafiki")


async def test_an_offer_shows_that_it_waits_and_esc_cancels_before_it_closes(
    peers: PeersPage,
) -> None:
    peers.auto_button.click()
    [dialog] = peers.findChildren(AutoPeerDialog)
    dialog.lines["url"].setText("https://silent.example")
    dialog.lines["our_url"].setText("https://node.example")
    dialog.offer_button.click()
    assert dialog.progress.isVisible()

    dialog.reject()
    await until(lambda: not dialog.progress.isVisible())

    assert dialog.isVisible()
    assert "Cancelled here" in dialog.answer.text()
    dialog.close_button.click()
