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


@final
class LinkStates:
    """Written by the links for each packet, read for the screen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[AccountId, LinkHistory] = {}

    def history(self, account: AccountId) -> LinkHistory:
        """Return what is known of a link; the same object as long as the account lives."""
        history = self._histories.get(account)
        if history is None:
            history = self._histories[account] = LinkHistory()
        return history

    def worked(self, history: LinkHistory) -> None:
        """Note that the other side answered as it should."""
        history.last_success = self._clock.monotonic()
        history.failing_since = None
        history.successes += 1

    def failed(self, history: LinkHistory, reason: str) -> bool:
        """Note that it did not, and why; return whether this is news: it worked before, or was never tried."""
        now = self._clock.monotonic()
        is_news = history.failing_since is None
        if is_news:
            history.failing_since = now
        history.last_failure = now
        history.reason = reason
        history.failures += 1
        return is_news

    def forget(self, account: AccountId) -> None:
        """Drop what is known of an account that was deleted, or whose address changed."""
        self._histories.pop(account, None)

    def state(self, account: Account) -> tuple[LinkState, str]:
        """Return whether the account can be reached, and the reason in a sentence."""
        if not account.enabled:
            return LinkState.PAUSED, "Paused by the operator: it sends and receives nothing."
        if account.ilp_over_http_url is None and account.ilp_over_btp_url is None:
            return LinkState.NEVER, "It has no address to send to: it can only send to us."
        history = self._histories.get(account.id)
        if history is None or (history.last_success is None and history.last_failure is None):
            return LinkState.NEVER, "No packet has been sent to it yet."
        now = self._clock.monotonic()
        if history.failing_since is not None:
            lasting = now - history.failing_since
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


def _words(seconds: float) -> str:
    """Return a length of time as a person says it."""
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''}"
    count = int(seconds)
    return f"{count} second{'' if count == 1 else 's'}"
