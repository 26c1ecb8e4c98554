"""The event loop that window and node share: asyncio's own selector loop, nested in Qt's.

qasync makes a Qt timer of every callback, which costs half of what asyncio can forward, and its
timers are coarse: they may fire early. This loop keeps asyncio's ready queue, timer heap and selector
as they are. Qt watches one descriptor, the selector's own, and runs a slice of asyncio's work when it
is readable, when the next timer is due, or when something was scheduled from outside a slice. A
slice ends after `SLICE_SECONDS`, so that Qt paints in between.

It is a `qasync.QEventLoop`, and what is written for one runs on it. Where the selector has no
descriptor that Qt can watch (Windows), or where that was never tried (macOS), `new_event_loop` gives
qasync's own.
"""
# ruff: noqa: SLF001 # asyncio's parts are put together anew: there is no public way to run one round of them

from __future__ import annotations

import asyncio
import heapq
import logging
import selectors
import sys
import threading
from asyncio import base_events, events, selector_events
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple, Unpack, cast, final

import qasync
from PySide6.QtCore import QSocketNotifier, Qt, QTimer
from PySide6.QtWidgets import QApplication

log = logging.getLogger(__name__)

SLICE_SECONDS: Final = 0.004
"""A frame is 16 ms: a slice leaves three quarters of it to painting."""
TIMER_SECONDS_MAX: Final = 24 * 3600
"""Qt counts milliseconds in 32 bits; a later timer is armed again then."""
CANCELLED_TIMERS_MIN: Final = 100
"""Cancelled timers are swept out of the heap once so many are there and they are half of it."""

Ts = TypeVarTuple("Ts")

_Base: Final[Any] = base_events.BaseEventLoop
_Selector: Final[Any] = selector_events.BaseSelectorEventLoop
if TYPE_CHECKING:
    _QtLoop = asyncio.SelectorEventLoop  # qasync has no types
else:
    _QtLoop = qasync.QEventLoop


def new_event_loop(
    application: QApplication, *, on_quit: Callable[[], None] | None = None
) -> asyncio.AbstractEventLoop:
    """Return the loop for this platform.

    `on_quit` is called when Qt quits (`app.quit()`, the session ends) and begins the shutdown, which
    stops the loop when it is done; without it a quit ends the loop at once.
    """
    if hasattr(selectors, "EpollSelector"):
        return NestedEventLoop(application, on_quit=on_quit)
    return cast("asyncio.AbstractEventLoop", qasync.QEventLoop(application))


@final
class NestedEventLoop(_QtLoop):
    """asyncio in slices, within Qt's event loop. See the module."""

    # What BaseEventLoop keeps, and this class works on.
    _ready: deque[asyncio.Handle]
    _scheduled: list[Any]
    _process_events: Callable[[object], None]
    _selector: selectors.BaseSelector
    _stopping: bool
    _closed: bool
    _debug: bool
    _thread_id: int | None
    _timer_cancelled_count: int
    _clock_resolution: float
    _current_handle: asyncio.Handle | None

    def __init__(
        self, application: QApplication, *, on_quit: Callable[[], None] | None = None
    ) -> None:
        asyncio.SelectorEventLoop.__init__(self, selectors.EpollSelector())
        self._application = application
        self._on_quit = on_quit
        self._running = False
        self._in_slice = False
        self._nested_reported = False
        self._failure: BaseException | None = None
        self._armed_for: float | None = None
        """When the timer below fires; None while it does not run."""
        self._slice_pending = False

        self._soon = QTimer(application)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._slice)
        self._later = QTimer(application)
        self._later.setSingleShot(True)
        self._later.setTimerType(Qt.TimerType.PreciseTimer)
        self._later.timeout.connect(self._timer_fired)
        descriptor = cast("selectors.EpollSelector", self._selector).fileno()
        self._notifier = QSocketNotifier(descriptor, QSocketNotifier.Type.Read, application)
        self._notifier.setEnabled(False)
        self._notifier.activated.connect(self._slice)

    # --- asyncio's own, where qasync has put another

    _add_callback = _Base._add_callback
    _add_reader = _Selector._add_reader
    _remove_reader = _Selector._remove_reader
    _add_writer = _Selector._add_writer
    _remove_writer = _Selector._remove_writer
    call_exception_handler = _Base.call_exception_handler
    call_later = _Base.call_later
    call_soon_threadsafe = _Base.call_soon_threadsafe  # wakes the selector, and so Qt
    default_exception_handler = _Base.default_exception_handler
    get_debug = _Base.get_debug
    run_in_executor = _Base.run_in_executor
    run_until_complete = _Base.run_until_complete
    set_debug = _Base.set_debug
    set_default_executor = _Base.set_default_executor
    set_exception_handler = _Base.set_exception_handler
    time = _Base.time

    # --- Scheduling: Qt needs to be told only from outside a slice

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle: asyncio.Handle
        if self._debug or self._closed:
            handle = _Base.call_soon(self, callback, *args, context=context)
        else:
            handle = asyncio.Handle(callback, args, self, context)
            self._ready.append(handle)
        if not self._in_slice:
            self._wake()
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle: asyncio.TimerHandle = _Base.call_at(
            self, when, callback, *args, context=context
        )
        if not self._in_slice:
            self._arm()
        return handle

    def _wake(self) -> None:
        if self._running and not self._slice_pending:
            self._slice_pending = True
            self._soon.start(0)

    def _arm(self) -> None:
        """Have Qt call when the earliest timer is due; never before, it rounds up."""
        if not self._running or not self._scheduled:
            return
        when = self._scheduled[0].when()
        if self._armed_for is None or when < self._armed_for:
            self._armed_for = when
            wait = min(max(0.0, when - self.time()), TIMER_SECONDS_MAX)
            self._later.start(-int(-wait * 1000 // 1))

    def _timer_fired(self) -> None:
        self._armed_for = None
        self._slice()

    # --- A slice

    def _slice(self) -> None:
        """Do what is ready, for at most SLICE_SECONDS."""
        if self._in_slice:
            self._refuse_nesting()
            return
        if not self._running:
            return
        self._in_slice = True
        self._slice_pending = False
        try:
            self._work(until=self.time() + SLICE_SECONDS)
        except BaseException as failure:  # noqa: BLE001 # KeyboardInterrupt, SystemExit: Qt would lose them
            self._failure = failure
            self._stopping = True
        finally:
            self._in_slice = False
        if not self._notifier.isEnabled():
            self._notifier.setEnabled(True)
        if self._stopping:
            self._application.exit()
            return
        if self._ready:
            self._wake()
        self._arm()

    def _work(self, *, until: float) -> None:
        ready = self._ready
        while True:
            if happened := self._selector.select(0):
                self._process_events(happened)
            self._collect_timers()
            count = len(ready)
            if not count:
                return
            # As in asyncio, what these schedule runs in the next round, after another look at I/O.
            for _ in range(count):
                handle = ready.popleft()
                if handle.cancelled():
                    continue
                if self._debug:
                    self._run_watched(handle)
                else:
                    handle._run()
                if self.time() > until:
                    return
            if self._stopping:
                return

    def _collect_timers(self) -> None:
        """Move what is due from the heap of timers to the queue."""
        scheduled = self._scheduled
        if not scheduled:
            return
        if self._timer_cancelled_count > max(CANCELLED_TIMERS_MIN, len(scheduled) // 2):
            for handle in scheduled:
                handle._scheduled = not handle.cancelled()
            scheduled = [handle for handle in scheduled if not handle.cancelled()]
            heapq.heapify(scheduled)
            self._scheduled = scheduled
            self._timer_cancelled_count = 0
        due = self.time() + self._clock_resolution
        while scheduled:
            handle = scheduled[0]
            if handle.cancelled():
                self._timer_cancelled_count -= 1
            elif handle.when() < due:
                self._ready.append(handle)
            else:
                break
            heapq.heappop(scheduled)
            handle._scheduled = False

    def _run_watched(self, handle: asyncio.Handle) -> None:
        started = self.time()
        self._current_handle = handle
        try:
            handle._run()
        finally:
            self._current_handle = None
        took = self.time() - started
        if took >= self.slow_callback_duration:
            log.warning("%r took %.3f seconds", handle, took)

    def _refuse_nesting(self) -> None:
        """Say once that a task has opened a Qt event loop of its own; asyncio stands still until it returns."""
        self._notifier.setEnabled(False)  # else it would tell of the same event without end
        if not self._nested_reported:
            self._nested_reported = True
            log.error(
                "a task has opened a nested Qt event loop (exec): "
                "no packet moves until it is closed; use open() and a future"
            )

    # --- Running

    def run_forever(self) -> None:
        """Run until `stop` is called, or until Qt quits and nobody minds."""
        _Base._check_closed(self)
        _Base._check_running(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            firstiter=_Base._asyncgen_firstiter_hook.__get__(self),
            finalizer=_Base._asyncgen_finalizer_hook.__get__(self),
        )
        _Base._set_coroutine_origin_tracking(self, self._debug)
        events._set_running_loop(self)
        self._thread_id = threading.get_ident()
        self._running = True
        self._notifier.setEnabled(True)
        try:
            self._run_qt()
        finally:
            self._running = self._slice_pending = self._stopping = False
            self._armed_for = None
            self._thread_id = None
            for timer in (self._soon, self._later):
                timer.stop()
            self._notifier.setEnabled(False)
            events._set_running_loop(None)
            _Base._set_coroutine_origin_tracking(self, enabled=False)
            sys.set_asyncgen_hooks(*hooks)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run_qt(self) -> None:
        while True:
            self._slice_pending = False
            self._armed_for = None
            self._wake()
            self._application.exec()
            if self._stopping or self._on_quit is None:
                return
            self._on_quit()

    def stop(self) -> None:
        self._stopping = True
        if not self._in_slice:
            self._wake()

    def is_running(self) -> bool:
        return self._thread_id is not None

    def close(self) -> None:
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        self._notifier.setEnabled(False)
        for part in (self._notifier, self._soon, self._later):
            part.deleteLater()
        asyncio.SelectorEventLoop.close(self)

    def __enter__(self) -> NestedEventLoop:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
