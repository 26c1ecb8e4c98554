"""The window with its real pages, over a node of the tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.resources import files

from PySide6.QtWidgets import QApplication

from desktop.presenters.logs import LogsPresenter
from desktop.presenters.overview import OverviewPresenter
from desktop.presenters.payments import PaymentsPresenter
from desktop.presenters.peers import PeersPresenter
from desktop.presenters.rates import RatesPresenter
from desktop.presenters.routes import RoutesPresenter
from desktop.presenters.shell import ShellPresenter
from desktop.presenters.watch import NodeWatch
from desktop.settings import SettingsFile
from desktop.theme import Theme, ThemeChoice
from desktop.views.logs import LogsPage
from desktop.views.main_window import MainWindow
from desktop.views.overview import OverviewPage
from desktop.views.payments import PaymentsPage
from desktop.views.peers import PeersPage
from desktop.views.rates import RatesPage
from desktop.views.routes import RoutesPage
from tests.desktop.fake_operator import FakeOperator
from tests.desktop.waiting import activated


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
        self.pages = (
            self.overview, self.peers, self.routes, self.payments, self.rates, self.logs,
        )  # fmt: skip
        self.window = MainWindow(self.shell, self.pages, settings, theme)

    async def close(self) -> None:
        """As the application does."""
        self.window.let_go()
        for page in self.pages:
            await page.presenter.close()
        await self.watch.close()
        self.window.deleteLater()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def opened(
    application: QApplication,
    settings: SettingsFile | None = None,
    operator: FakeOperator | None = None,
) -> AsyncIterator[WholeWindow]:
    """Open it, in the light, as it is after its first look at the node."""
    stylesheet = files("resources").joinpath("styles", "app.qss").read_text()
    theme = Theme(application, stylesheet, ThemeChoice.LIGHT)
    whole = WholeWindow(theme, settings or SettingsFile(None), operator or FakeOperator())
    whole.window.show()
    whole.window.activateWindow()
    await whole.watch.update_and_report()
    await activated(whole.window)
    try:
        yield whole
    finally:
        await whole.close()
        theme.deleteLater()
        application.setStyleSheet("")
