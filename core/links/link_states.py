"""How each link is: what last worked, what last failed and why, and the one word for it."""

from __future__ import annotations

import enum
import errno
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, final

from core.account import Account, AccountId
from core.clock import Clock
from core.control.views import LinkState
from core.control.words import counted
from core.routing.voices import GONE_SECONDS
from core.service import OutgoingRequest
from core.telemetry.peer_time import PeerTimes

HYSTERESIS_SECONDS: Final = 10.0
"""A link is called down, or up again, only once it has been so for this long."""
IDLE_SECONDS: Final = 60.0
STALE_SECONDS: Final = 120.0
"""A failure so long before the next says nothing of the time between: the peer may have been there, and nobody asked."""
FAILURES_MAX: Final = 5
"""In a row, without a sign of life. One or two are a peer that starts anew, and its next packet may well be answered."""

_OURS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
)
"""What this machine lacks says nothing of the other side."""


class Failure(enum.Enum):
    """What a failure says of the other side."""

    UNREACHABLE = "unreachable"
    """It seems gone: no connection could be made, its one connection was lost, or a question for itself was not answered."""
    UNCLEAR = "unclear"
    """A packet was not answered in time, or hung up on, which whoever it was passed on to can bring about; or this
    machine lacked something."""
    ANSWERED = "answered"
    """It is there, and what it answered is no reply."""


def asks_itself(request: OutgoingRequest[Account]) -> bool:
    """Tell whether a packet is a question of ours that the other side answers itself and passes on to nobody."""
    account, destination = request.to_account, request.prepare.destination
    return request.from_account.id == account.id and (
        destination == account.ilp_address or destination.startswith("peer.")
    )


def of_connecting(error: OSError) -> Failure:
    """Return what it says of the other side that no connection could be made."""
    if error.errno in _OURS or (error.errno is None and not isinstance(error, ConnectionError)):
        return Failure.UNCLEAR
    return Failure.UNREACHABLE


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
    failure: Failure = Failure.UNCLEAR
    """What the last failure said of the other side."""
    failures: int = 0
    unreachable_in_row: int = 0
    """How often it seemed gone since its last sign of life."""
    unreachable_since: float | None = None
    """The first time of these."""
    last_unreachable: float = 0.0
    unclear_in_row: int = 0
    """How many packets were not answered in time since its last sign of life."""
    recoveries: int = 0
    """How often it worked again after it had not: packets that were not answered in time are none of it."""
    held_until: float | None = None
    """Until when nothing is sent, since too much has failed in a row; None where nothing is held back."""
    hold_seconds: float = 0.0
    is_tested: bool = False
    """Whether one packet is under way to find out if it works again."""
    is_asked: bool = False
    """Whether a question is under way to find out if it is there."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against sending it packets."""
        return self.unreachable_in_row < FAILURES_MAX and self.unclear_in_row < FAILURES_MAX


@final
@dataclass(slots=True)
class BtpState:
    """How an account is connected over BTP; times on the clock's monotonic hand."""

    connections: int = 0
    openings: int = 0
    """How often it went from no connection to one."""
    connected_since: float | None = None
    """When the first of the connections that it has now was opened."""
    down_since: float | None = None
    """Since when there is none: it was lost, or first dialled in vain; None where there never was one to lose."""
    problem: str = ""
    """Why there is no connection, a sentence; empty where nothing went wrong yet."""
    trying: str = ""
    """What is done about it now, a sentence; empty where it is for the other side to connect."""
    refused_at: float | None = None
    """When somebody last called itself this account and had a wrong token: a stranger, as far as anybody knows."""
    retry_at: float | None = None
    """When it is dialled again; None while it is not waited for."""


@final
class LinkStates:
    """Written by the links for each packet, read for the screen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: Final = PeerTimes(clock)
        """What the peers' answers say the time is."""
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
        state.down_since = state.refused_at = None
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
        state.down_since = self._clock.monotonic()
        state.problem = problem
        return True

    def btp_not_dialled(self, account: AccountId, problem: str) -> bool:
        """Note that it could not be connected by dialling it, and why; return whether that is news."""
        state = self.btp(account)
        if state.down_since is None and not state.connections:
            state.down_since = self._clock.monotonic()
        is_news = state.problem != problem
        state.problem = problem
        return is_news

    def btp_refused(self, account: AccountId) -> None:
        """Note that somebody had a wrong token for it: for the operator to see, and nothing more."""
        self.btp(account).refused_at = self._clock.monotonic()

    def history(self, account: AccountId) -> LinkHistory:
        """Return what is known of a link; the same object as long as the account lives."""
        history = self._histories.get(account)
        if history is None:
            history = self._histories[account] = LinkHistory()
        return history

    def worked(self, history: LinkHistory) -> None:
        """Note that the other side answered as it should."""
        history.last_success = self._clock.monotonic()
        if history.failing_since is not None:
            history.failing_since = None
            if history.unreachable_since is not None or history.failure is Failure.ANSWERED:
                history.recoveries += 1
            _let_go(history)

    def failed(self, history: LinkHistory, reason: str, failure: Failure) -> bool:
        """Note that it did not, and why; return whether this is news: it worked before, or was never tried."""
        now = self._clock.monotonic()
        is_news = history.failing_since is None
        if is_news:
            history.failing_since = now
        history.last_failure = now
        history.reason, history.failure = reason, failure
        history.failures += 1
        if failure is Failure.UNREACHABLE:
            if now - history.last_unreachable > STALE_SECONDS:
                history.unreachable_since = None
            history.unreachable_in_row += 1
            history.last_unreachable = now
            if history.unreachable_since is None:
                history.unreachable_since = now
        elif failure is Failure.UNCLEAR:
            history.unclear_in_row += 1
        else:
            _let_go(history)
        return is_news

    def held(self) -> Collection[AccountId]:
        """Return to whom this process has connections, which are of use to no other."""
        return [account for account, state in self._btp.items() if state.connections]

    def is_gone(self, account: Account) -> bool:
        """Tell whether nobody has been there for a while, as far as this process can know.

        It can know of a connection that it held and lost, or did not get by dialling, and of packets that it
        could not get rid of. What strangers say of themselves, and what goes wrong behind the other side, is nothing to go by.
        """
        btp = self._btp.get(account.id)
        if btp is not None and btp.connections:
            return False
        if account.ilp_over_http_url is None:
            down_since = None if btp is None else btp.down_since
            return (
                down_since is not None and self._clock.monotonic() - down_since >= GONE_SECONDS
            )
        history = self._histories.get(account.id)
        return (
            history is not None
            and history.unreachable_since is not None
            and history.last_unreachable - history.unreachable_since >= GONE_SECONDS
        )

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

    def problem(self, account: Account) -> str:
        """Return why it could not be reached the last time, a sentence; empty where that is not known."""
        btp = self._btp.get(account.id)
        is_connected = btp is not None and btp.connections > 0
        if account.ilp_over_http_url is None and not is_connected:
            return self._not_connected(account, btp)[1]
        history = self._histories.get(account.id)
        return "" if history is None else history.reason

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
            return (
                LinkState.NEVER,
                "It has no address to send to: only payments that end here reach it.",
            )
        is_dialled = account.ilp_over_btp_url is not None
        if btp is None or not btp.problem:
            trying = "" if btp is None else self._trying(btp)
            if not is_dialled:
                return (
                    LinkState.NEVER,
                    f"It has not connected over BTP yet.{self._refused(btp)}",
                )
            return LinkState.NEVER, trying or "It has not been dialled over BTP yet."
        waits = "" if is_dialled else "It has to connect again."
        sentence = " ".join(part for part in (btp.problem, self._trying(btp) or waits) if part)
        sentence += "" if is_dialled else self._refused(btp)
        down_since = btp.down_since
        if (
            btp.openings
            and down_since is not None
            and self._clock.monotonic() - down_since < HYSTERESIS_SECONDS
        ):
            return LinkState.DEGRADED, sentence
        return LinkState.DOWN, sentence

    def _refused(self, btp: BtpState | None) -> str:
        """Return what there is to say of logins with a wrong token, a sentence behind others."""
        if btp is None or btp.refused_at is None:
            return ""
        ago = _words(self._clock.monotonic() - btp.refused_at)
        return f" A login over BTP had a wrong token and was refused {ago} ago."

    def _trying(self, btp: BtpState) -> str:
        """Return what is done about a connection that there is not, and when."""
        if btp.retry_at is None:
            return btp.trying
        return (
            f"It is dialled again in {_words(max(1, btp.retry_at - self._clock.monotonic()))}."
        )

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
            if history.failure is Failure.UNCLEAR and history.unreachable_since is None:
                return (
                    LinkState.DEGRADED,
                    f"{history.reason} So it has been for {_words(lasting)}; whoever is behind it may be to blame.",
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
    """Hold nothing back any more, since there was a sign of life."""
    history.unreachable_in_row = history.unclear_in_row = 0
    history.unreachable_since = None
    history.held_until = None
    history.hold_seconds = 0.0


def _words(seconds: float) -> str:
    """Return a length of time as a person says it."""
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            return counted(int(seconds // unit), name)
    return counted(int(seconds), "second")
