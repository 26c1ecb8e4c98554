"""What does not keep the node from working, and the operator must know all the same: clocks and secrets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, final

from core.account import AccountDirectory
from core.config import EXAMPLE_TOKENS
from core.control.words import counted
from core.telemetry.peer_time import ClockReading, PeerClock

NAMES_SHOWN: Final = 3


class Topic(enum.Enum):
    """What a warning is about."""

    CLOCK = "clock"
    """This machine's own."""
    PEER_CLOCK = "peer clock"
    SECRETS = "secrets"
    PORT = "port"


@final
@dataclass(frozen=True, slots=True)
class NodeWarning:
    """One thing that should not stay as it is."""

    topic: Topic
    sentence: str


def clock_warnings(reading: ClockReading | None) -> Iterator[NodeWarning]:
    """Yield what is wrong with our clock, or with a peer's, what comes of it, and what mends it."""
    if reading is None:
        return
    if reading.is_wrong:
        yield NodeWarning(Topic.CLOCK, _clock_sentence(reading))
    if reading.wrong:
        yield NodeWarning(Topic.PEER_CLOCK, _peers_sentence(reading.wrong))


def span_words(milliseconds: int) -> str:
    """Return a length of time as exactly as a clock that is wrong is worth: `5.0 s`, `3 min`, `2 h`."""
    seconds = abs(milliseconds) / 1000
    if seconds < 1:
        return f"{abs(milliseconds)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    for limit, unit, name in ((3600, 60, "min"), (2 * 86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def offset_words(offset_ms: int, bound_ms: int) -> str:
    """Return how far a clock is off, signed, and no more exactly than is known: `+12 ms`, `−5.0 s`."""
    step = 1 if bound_ms <= 20 else 10 if bound_ms <= 100 else 100
    offset = round(offset_ms / step) * step
    return f"{'+' if offset > 0 else '−' if offset < 0 else '±'}{span_words(offset)}"


def account_token_warnings(
    directory: AccountDirectory, hash_token: Callable[[str], bytes]
) -> Callable[[], Iterator[NodeWarning]]:
    """Return what looks which accounts log in with a token that stands in examples; it is asked once a second."""
    known = tuple(hash_token(token) for token in EXAMPLE_TOKENS)

    def look() -> Iterator[NodeWarning]:
        found = (directory.by_token_hash(digest) for digest in known)
        names = sorted({account.username for account in found if account is not None})
        if names:
            log_in, they, anew = (
                ("log in with tokens", "they", "new tokens with them")
                if len(names) > 1
                else ("logs in with a token", "it", "a new token with it")
            )
            yield NodeWarning(
                Topic.SECRETS,
                f"{_names(names)} {log_in} out of examples, which strangers try first, and can "
                f"spend what {they} may owe you. Agree on {anew}.",
            )

    return look


def configured(topic: Topic, words: str) -> Iterator[NodeWarning]:
    """Yield what the configuration warns of, from its words without a full stop; nothing where there are none."""
    if words:
        yield NodeWarning(topic, f"{words[:1].upper()}{words[1:]}.")


def _clock_sentence(reading: ClockReading) -> str:
    off = span_words(reading.offset_ms)
    is_ahead = reading.offset_ms > 0
    where = "ahead of" if is_ahead else "behind"
    if len(reading.peers) == 1:
        name = reading.peers[0]
        who = f"that of {name}, the only peer that has told the time, so that one of the two is wrong"
    else:
        who = f"those of {counted(len(reading.peers), 'peer')}"
    effect = (
        f"Packets expire early here: what comes with less than {off} left is rejected as if it were late."
        if is_ahead
        else f"Packets expire late here: what expired up to {off} ago is still sent on and rejected by the next "
        "node, and a fulfillment that comes too late is taken for one in time, at your loss."
    )
    return (
        f"This machine's clock is {off} {where} {who}. {effect} Set it right and keep it so: "
        "sudo timedatectl set-ntp true, or install chrony."
    )


def _peers_sentence(wrong: Sequence[PeerClock]) -> str:
    first = wrong[0]
    where = "ahead" if first.offset_ms > 0 else "behind"
    words = f"The clock of {first.peer} is {span_words(first.offset_ms)} {where}, as the other peers say"
    if len(wrong) > 1:
        others = _names([each.peer for each in wrong[1:]])
        words += f"; those of {others} are wrong too"
    effect = (
        "its packets seem to have more time than they have, and it rejects yours as late"
        if first.offset_ms > 0
        else "its packets look late here, and it takes yours for longer than they last"
    )
    return f"{words}: {effect}. Tell its operator."


def _names(names: Sequence[str]) -> str:
    """Return the first of them in a row, and how many more there are: `alice, bob, carol and 2 more`."""
    shown = list(names[:NAMES_SHOWN])
    if len(names) > NAMES_SHOWN:
        shown.append(f"{len(names) - NAMES_SHOWN} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
