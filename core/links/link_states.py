"""How each link is: what last worked, what last failed and why, and the one word for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from core.account import Account, AccountId
from core.clock import Clock
from core.control.views import LinkState

HYSTERESIS_SECONDS: Final = 10.0
"""A link is called down, or up again, only once it has been so for this long."""
IDLE_SECONDS: Final = 60.0


@final
@dataclass(slots=True)
class LinkHistory:
    """What became of the packets sent over one link; times on the clock's monotonic hand, None for never."""

    last_success: float | None = None
    last_failure: float | None = None
    failing_since: float | None = None
    """The first failure since the last success."""
    reason: str = ""
    """Why the last failure failed, a sentence."""
    successes: int = 0
    failures: int = 0
    failures_in_row: int = 0
    """Since the last success, refusals not counted."""
    recoveries: int = 0
    """How often it worked again after it had failed."""
    held_until: float | None = None
    """Until when nothing is sent, since too much has failed in a row; None where nothing is held back."""
    hold_seconds: float = 0.0
    is_tested: bool = False
    """Whether one packet is under way to find out if it works again."""


@final
@dataclass(slots=True)
class BtpState:
    """How an account is connected over BTP; times on the clock's monotonic hand."""

    connections: int = 0
    openings: int = 0
    """How often it went from no connection to one."""
    connected_since: float | None = None
    """When the first of the connections that it has now was opened."""
    lost_at: float | None = None
    """When it last went from one connection to none."""
    problem: str = ""
    """Why there is no connection, a sentence; empty where nothing went wrong yet."""
    trying: str = ""
    """What is done about it now, a sentence; empty where it is for the other side to connect."""
    retry_at: float | None = None
    """When it is dialled again; None while it is not waited for."""


@final
class LinkStates:
    """Written by the links for each packet, read for the screen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[AccountId, LinkHistory] = {}
        self._btp: dict[AccountId, BtpState] = {}

    def btp(self, account: AccountId) -> BtpState:
        """Return how an account is connected over BTP; the same object as long as the account lives."""
        state = self._btp.get(account)
        if state is None:
            state = self._btp[account] = BtpState()
        return state

    def btp_opened(self, account: AccountId) -> bool:
        """Note a connection more; return whether it is the only one."""
        state = self.btp(account)
        state.connections += 1
        state.problem = state.trying = ""
        state.retry_at = None
        if state.connections == 1:
            state.connected_since = self._clock.monotonic()
            state.openings += 1
            if (history := self._histories.get(account)) is not None:
                # Its packets failed for want of just this: they say nothing of the new connection.
                history.failing_since = history.last_failure = None
                _let_go(history)
        return state.connections == 1

    def btp_closed(self, account: AccountId, problem: str) -> bool:
        """Note a connection less, and why; return whether none is left."""
        state = self.btp(account)
        state.connections -= 1
        if state.connections:
            return False
        state.connected_since = None
        state.lost_at = self._clock.monotonic()
        state.problem = problem
        return True

    def history(self, account: AccountId) -> LinkHistory:
        """Return what is known of a link; the same object as long as the account lives."""
        history = self._histories.get(account)
        if history is None:
            history = self._histories[account] = LinkHistory()
        return history

    def worked(self, history: LinkHistory) -> None:
        """Note that the other side answered as it should."""
        history.last_success = self._clock.monotonic()
        history.successes += 1
        if history.failing_since is not None:
            history.failing_since = None
            history.recoveries += 1
            _let_go(history)

    def failed(self, history: LinkHistory, reason: str, *, is_refusal: bool = False) -> bool:
        """Note that it did not, and why; return whether this is news: it worked before, or was never tried.

        A refusal came at once and holds nothing up: it is no reason to leave the link alone.
        """
        now = self._clock.monotonic()
        is_news = history.failing_since is None
        if is_news:
            history.failing_since = now
        history.last_failure = now
        history.reason = reason
        history.failures += 1
        history.failures_in_row += not is_refusal
        return is_news

    def came_up(self, account: AccountId) -> int:
        """Return a number that grows whenever the link is there again after it was not."""
        history, btp = self._histories.get(account), self._btp.get(account)
        return (0 if history is None else history.recoveries) + (
            0 if btp is None else btp.openings
        )

    def hold_words(self, history: LinkHistory) -> str:
        """Return when something is sent again over a link that is left alone, a sentence; empty for others."""
        if history.held_until is None:
            return ""
        if history.is_tested:
            return "A packet is under way that tests it."
        left = history.held_until - self._clock.monotonic()
        if left <= 0:
            return "The next packet for it is a test."
        return f"It is tried again in {_words(max(left, 1))}."

    def forget(self, account: AccountId) -> None:
        """Drop what is known of an account that was deleted, or whose address changed."""
        self._histories.pop(account, None)

    def forget_btp(self, account: AccountId) -> None:
        """Drop how an account was connected over BTP: it was deleted, or has no such link any more."""
        self._btp.pop(account, None)

    def state(self, account: Account) -> tuple[LinkState, str]:
        """Return whether the account can be reached, and the reason in a sentence."""
        if not account.enabled:
            return LinkState.PAUSED, "Paused by the operator: it sends and receives nothing."
        history = self._histories.get(account.id)
        btp = self._btp.get(account.id)
        if btp is not None and btp.connections:
            return self._connected(btp, history)
        if account.ilp_over_http_url is None:
            return self._not_connected(account, btp)
        return self._by_packets(history)

    def _connected(self, btp: BtpState, history: LinkHistory | None) -> tuple[LinkState, str]:
        """Return how a link is whose other side is connected: what packets met counts where they met any."""
        now = self._clock.monotonic()
        since = now if btp.connected_since is None else btp.connected_since
        count = "" if btp.connections == 1 else f" by {btp.connections} connections"
        words = f"Connected over BTP{count} for {_words(now - since)}."
        if history is not None and (
            history.failing_since is not None
            or (
                history.last_failure is not None
                and now - history.last_failure < HYSTERESIS_SECONDS
            )
        ):
            state, sentence = self._by_packets(history)
            return state, f"{sentence} {words}"
        return LinkState.UP, words

    def _not_connected(self, account: Account, btp: BtpState | None) -> tuple[LinkState, str]:
        """Return how a link is that has BTP alone, and no connection now."""
        if account.ilp_over_btp_url is None and not account.has_ilp_over_btp_incoming_token:
            return LinkState.NEVER, "It has no address to send to: it can only send to us."
        if btp is None or not btp.problem:
            if account.ilp_over_btp_url is None:
                return LinkState.NEVER, "It has not connected over BTP yet."
            trying = "" if btp is None else self._trying(btp)
            return LinkState.NEVER, trying or "It has not been dialled over BTP yet."
        waits = "" if account.ilp_over_btp_url is not None else "It has to connect again."
        sentence = " ".join(part for part in (btp.problem, self._trying(btp) or waits) if part)
        lost_at = btp.lost_at
        if lost_at is not None and self._clock.monotonic() - lost_at < HYSTERESIS_SECONDS:
            return LinkState.DEGRADED, sentence
        return LinkState.DOWN, sentence

    def _trying(self, btp: BtpState) -> str:
        """Return what is done about a connection that there is not, and when."""
        if btp.retry_at is None:
            return btp.trying
        return f"It is dialled again in {_words(max(1, btp.retry_at - self._clock.monotonic()))}."

    def _by_packets(self, history: LinkHistory | None) -> tuple[LinkState, str]:
        """Return how a link is by what became of the packets that were sent over it."""
        if history is None or (history.last_success is None and history.last_failure is None):
            return LinkState.NEVER, "No packet has been sent to it yet."
        now = self._clock.monotonic()
        if history.failing_since is not None:
            lasting = now - history.failing_since
            if history.held_until is not None:
                hold = self.hold_words(history)
                return (
                    LinkState.DOWN,
                    f"{history.reason} So it has been for {_words(lasting)}; its packets are rejected at once. {hold}",
                )
            if history.last_success is None or lasting >= HYSTERESIS_SECONDS:
                return LinkState.DOWN, f"{history.reason} So it has been for {_words(lasting)}."
            return LinkState.DEGRADED, f"{history.reason} It worked {_words(lasting)} ago."
        assert history.last_success is not None
        if history.last_failure is not None and now - history.last_failure < HYSTERESIS_SECONDS:
            ago = _words(now - history.last_failure)
            return LinkState.DEGRADED, f"It works again; {ago} ago: {history.reason}"
        quiet = now - history.last_success
        if quiet >= IDLE_SECONDS:
            return LinkState.IDLE, f"Its last answer came {_words(quiet)} ago."
        return LinkState.UP, "It answers."


def _let_go(history: LinkHistory) -> None:
    """Hold nothing back any more."""
    history.failures_in_row = 0
    history.held_until = None
    history.hold_seconds = 0.0


def _words(seconds: float) -> str:
    """Return a length of time as a person says it."""
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''}"
    count = int(seconds)
    return f"{count} second{'' if count == 1 else 's'}"
