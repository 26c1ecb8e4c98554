"""The window with every page that the application has, over a node of the tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from desktop.presenters.logs import LogsPresenter
from desktop.presenters.overview import OverviewPresenter
from desktop.presenters.payments import PaymentsPresenter
from desktop.presenters.peers import PeersPresenter
from desktop.presenters.rates import RatesPresenter
from desktop.presenters.routes import RoutesPresenter
from desktop.presenters.settlements import SettlementsPresenter
from desktop.presenters.shell import ShellPresenter
from desktop.presenters.traffic import TrafficPresenter
from desktop.presenters.watch import NodeWatch
from desktop.settings import SettingsFile
from desktop.theme import Theme
from desktop.views.logs import LogsPage
from desktop.views.main_window import MainWindow
from desktop.views.overview import OverviewPage
from desktop.views.page import Page
from desktop.views.payments import PaymentsPage
from desktop.views.peers import PeersPage
from desktop.views.rates import RatesPage
from desktop.views.routes import RoutesPage
from desktop.views.settlements import SettlementsPage
from desktop.views.traffic import TrafficPage
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import until


class WholeWindow:
    """What is seen, and what is behind it."""

    def __init__(self, theme: Theme, settings: SettingsFile, operator: FakeOperator) -> None:
        clock = operator.clock
        self.theme = theme
        self.operator = operator
        self.settings = settings
        self.watch = NodeWatch(operator, clock)
        self.shell = ShellPresenter(self.watch, default_account="bob")
        names = self.watch.names
        self.overview = OverviewPage(OverviewPresenter(operator, clock, self.watch))
        self.peers = PeersPage(PeersPresenter(operator, clock))
        self.routes = RoutesPage(RoutesPresenter(operator, clock, names))
        self.payments = PaymentsPage(PaymentsPresenter(operator, clock, names))
        self.rates = RatesPage(RatesPresenter(operator, clock))
        self.logs = LogsPage(LogsPresenter(operator, clock))
        self.pages: Sequence[Page] = (
            self.overview,
            self.peers,
            self.routes,
            TrafficPage(TrafficPresenter(operator, clock, names)),
            SettlementsPage(SettlementsPresenter(operator, clock, None, names)),
            self.payments,
            self.rates,
            self.logs,
        )
        self.window = MainWindow(self.shell, self.pages, settings, theme)

    async def show(self) -> None:
        """Show it after its first look at the node, and have the keys go to it."""
        self.window.show()
        await self.watch.update_and_report()
        await until(self._has_keys)

    def _has_keys(self) -> bool:
        """Tell whether the keys go to it; if not, ask for them: an inspector in a window of its own takes them."""
        self.window.activateWindow()
        return self.window.isActiveWindow()

    async def close(self) -> None:
        """As the application does, with the inspectors that were not looked at."""
        await self.window.lock.presenter.close()
        self.window.let_go()
        for page in self.pages:
            await page.presenter.close()
        await self.watch.close()
        self.window.deleteLater()
        for page in self.pages:
            if page.inspector is not None:
                page.inspector.deleteLater()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def opened(
    theme: Theme, settings: SettingsFile | None = None, operator: FakeOperator | None = None
) -> AsyncIterator[WholeWindow]:
    """Show it, and close it whatever becomes of the test."""
    whole = WholeWindow(theme, settings or SettingsFile(None), operator or FakeOperator())
    try:
        await whole.show()
        yield whole
    finally:
        await whole.close()
