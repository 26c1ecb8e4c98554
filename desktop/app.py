"""The composition root: node, engines, presenters, pages, window, in that order; and their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, final

from PySide6.QtCore import QObject
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from core.config import NodeConfig
from core.errors import ControlError, InterledgerError
from core.garbage import calm_garbage_collector
from core.practice.network import PracticeNetwork
from core.settlement.records import SettlementState
from desktop.engine_supervisor import BundledEngines, EngineSupervisor
from desktop.event_loop import new_event_loop
from desktop.node_host import EmbeddedNode, ThrowAway
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
from desktop.settings import SettingsFile, default_settings_file
from desktop.tasks import TaskScope, sentence
from desktop.theme import Theme, ThemeChoice
from desktop.views.graphs import discard_prepared, prepare
from desktop.views.logs import LogsPage
from desktop.views.main_window import MainWindow
from desktop.views.overview import OverviewPage
from desktop.views.page import Page
from desktop.views.payments import PaymentsPage
from desktop.views.peers import PeersPage
from desktop.views.pictures import take_pictures
from desktop.views.rates import RatesPage
from desktop.views.routes import RoutesPage
from desktop.views.settlements import SettlementsPage
from desktop.views.start_failure import StartFailure
from desktop.views.traffic import TrafficPage
from desktop.views.widgets import pixmap

log = logging.getLogger(__name__)

EXIT_REFUSED: Final = 2
DEMO_PICTURES_PACKETS: Final = 300
DEMO_PICTURES_SECONDS: Final = 60.0
"""Pictures are taken then, whatever there is to see."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for."""

    config: NodeConfig
    given: frozenset[str] = frozenset()
    """Settings of the node that the operator named."""
    demo: bool = False
    screenshots: Path | None = None
    theme: ThemeChoice | None = None
    ethereum_rpc: str | None = None
    """The chain of the ethereum engine, from now on."""


def run(options: Options) -> int:
    """Run the application to its end and return its exit code."""
    application = set_up_application()
    closing = asyncio.Event()
    with asyncio.Runner(
        loop_factory=lambda: new_event_loop(application, on_quit=closing.set)
    ) as runner:
        return runner.run(_main(application, options, closing))


def set_up_application() -> QApplication:
    """Return the one QApplication, set up."""
    existing = QApplication.instance()
    application = (
        existing if isinstance(existing, QApplication) else QApplication(["signalbox"])
    )
    application.setApplicationName("Signalbox")
    application.setDesktopFileName("signalbox")
    application.setQuitOnLastWindowClosed(False)
    application.setWindowIcon(QIcon(pixmap("signalbox", "#ffffff", size=64)))
    return application


async def _main(application: QApplication, options: Options, closing: asyncio.Event) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, closing.set)
    keep = options.screenshots is None and not options.demo
    settings = SettingsFile(default_settings_file() if keep else None)
    if options.ethereum_rpc is not None:
        settings.change(engines={**settings.current.engines, "ethereum": options.ethereum_rpc})
    stylesheet = files("resources").joinpath("styles", "app.qss").read_text()
    theme = Theme(application, stylesheet, options.theme or settings.current.theme)
    try:
        async with Desktop.opened(options, settings, theme) as desktop:
            return await desktop.serve(closing)
    except InterledgerError as error:
        log.critical("%s", sentence(error))
        if options.screenshots is None:
            await StartFailure.show_until_closed(sentence(error), closing)
        return EXIT_REFUSED


@final
class Desktop(QObject):
    """The window with everything behind it."""

    def __init__(
        self,
        options: Options,
        node: EmbeddedNode,
        supervisor: EngineSupervisor,
        settings: SettingsFile,
        theme: Theme,
    ) -> None:
        super().__init__()
        self._options = options
        self.node = node
        self._settings = settings
        self._theme = theme
        self._closing: asyncio.Event | None = None
        self._tasks = TaskScope(self)
        self._supervisor = supervisor
        operator, clock = node.operator, node.clock
        self.practice = PracticeNetwork(
            operator, supervisor, our_url=node.url, progress=self._say_practice
        )
        self.watch = NodeWatch(operator, clock, supervisor, self)
        self.shell = ShellPresenter(self.watch, self, options.config.default_spsp_account)
        self.overview = OverviewPresenter(
            operator,
            clock,
            self.watch,
            supervisor,
            range_seconds=settings.current.graph_seconds,
            parent=self,
        )
        engines = BundledEngines(supervisor, lambda: settings.current.engines)
        names = self.watch.names
        payments = PaymentsPage(PaymentsPresenter(operator, clock, names, self))
        payments.practice_wanted.connect(self.overview.start_practice)
        self.pages: Sequence[Page] = (
            OverviewPage(self.overview),
            PeersPage(PeersPresenter(operator, clock, self)),
            RoutesPage(RoutesPresenter(operator, clock, names, self)),
            TrafficPage(TrafficPresenter(operator, clock, names, self)),
            SettlementsPage(SettlementsPresenter(operator, clock, engines, names, self)),
            payments,
            RatesPage(RatesPresenter(operator, clock, self)),
            LogsPage(LogsPresenter(operator, clock, self)),
        )
        self.window = MainWindow(self.shell, self.pages, settings, theme)
        self.overview.say_practice(available=True, progress="")
        self.overview.peer_wanted.connect(self.window.add_peer)
        self.overview.practice_wanted.connect(self._start_practice)
        self.overview.range_changed.connect(
            lambda seconds: settings.change(graph_seconds=seconds)
        )
        self._tasks.failed.connect(self.window.status.say_failure)

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls, options: Options, settings: SettingsFile, theme: Theme
    ) -> AsyncIterator[Desktop]:
        """Start everything, and end it in the opposite order, however the use of it ends.

        Raises:
            InterledgerError: the node cannot be started; says why.
        """
        async with contextlib.AsyncExitStack() as undo:
            config = options.config
            if options.demo:
                throw_away = ThrowAway()
                undo.callback(throw_away.close)
                config = throw_away.config(config, given=options.given)
            prepare()
            undo.callback(discard_prepared)
            node = await EmbeddedNode.start(config)
            undo.push_async_callback(node.stop)
            supervisor = EngineSupervisor(node.store_url)
            undo.push_async_callback(supervisor.close)
            desktop = cls(options, node, supervisor, settings, theme)
            undo.push_async_callback(desktop.close)
            yield desktop

    async def serve(self, closing: asyncio.Event) -> int:
        """Show the window until it is closed, or take its pictures."""
        self._closing = closing
        self.window.close_wanted.connect(closing.set)
        self.window.show()
        log.info("the window is open")
        for name, rpc_url in self._settings.current.engines.items():
            self._supervisor.supervise_engine(name, rpc_url=rpc_url)
        if self._options.demo:
            self._start_practice()
        calm_garbage_collector()
        if self._options.screenshots is not None:
            return await self._take_pictures(self._options.screenshots, closing)
        await closing.wait()
        return 0

    async def close(self) -> None:
        """Stop what this window started, and close it."""
        self.window.say_closing("Closing: packets in flight are answered and booked first…")
        await self._tasks.cancel()
        await self.window.lock.presenter.close()
        for page in self.pages:
            await page.presenter.close()
        await self.watch.close()
        if self.practice.running:
            await self.practice.stop()
            if not self._options.demo:
                await self.practice.remove_accounts()
        self.window.let_go()
        self.window.deleteLater()

    # --- The practice network

    def _start_practice(self) -> None:
        self._tasks.start(self._practise(), name="starting the practice network")

    async def _practise(self) -> None:
        self._say_practice("starting")
        try:
            await self.practice.start()
        except BaseException:
            self.overview.say_practice(available=True, progress="")
            raise
        self.overview.say_practice(available=False, progress="")
        self.window.status.say("The practice network runs")
        self.watch.refresh()

    def _say_practice(self, progress: str) -> None:
        log.info("practice network: %s", progress)
        words = f"{progress[:1].upper()}{progress[1:]}…"
        self.overview.say_practice(available=False, progress=words)
        self.window.status.say(words)

    # --- Pictures

    async def _take_pictures(self, directory: Path, closing: asyncio.Event) -> int:
        """Photograph every page, with something on it where there is a practice network; 1 where that failed."""
        pictures = asyncio.get_running_loop().create_task(self._photograph(directory))
        closed = asyncio.get_running_loop().create_task(closing.wait())
        await asyncio.wait((pictures, closed), return_when=asyncio.FIRST_COMPLETED)
        closed.cancel()
        pictures.cancel()
        ended = await asyncio.gather(pictures, closed, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]
        return 0 if ended[0] is None else 1

    async def _photograph(self, directory: Path) -> None:
        if self._options.demo:
            await self._tasks.finish()
            if not self.practice.running:
                raise ControlError("the practice network did not start; see the log above")
            await self._wait_for_traffic()
        paths = await take_pictures(self.window, self.pages, self._theme, directory)
        for path in paths:
            log.info("wrote %s", path)

    async def _wait_for_traffic(self) -> None:
        """Wait until there is something to see: some packets, and a settlement that is done."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEMO_PICTURES_SECONDS):
                while True:
                    status = await self.node.operator.status()
                    done = [
                        row
                        for row in await self.node.operator.settlements(limit=50)
                        if row.state in (SettlementState.FINAL, SettlementState.CREDITED)
                    ]
                    if status.prepares >= DEMO_PICTURES_PACKETS and done:
                        return
                    await asyncio.sleep(0.5)
