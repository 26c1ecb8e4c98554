"""What the palette offers for what was typed: what the window can do, the peers, and questions about an address."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, final

from PySide6.QtCore import QObject

from core.control.views import AccountView
from core.errors import PacketError, SpspError
from core.packet import address
from core.stream.payment_pointer import payment_url
from desktop.models.palette import SHOWN_MAX, TYPED_MAX, Entry, Kind, best
from desktop.presenters.watch import NodeWatch

PEERS_MAX: Final = 4_000
"""So many peers are found from here; the filter of their page finds the others."""
RECENT_MAX: Final = 5
LOOK_UP, PING, PAY = "look up ", "ping ", "pay "
"""What the key of a question begins with; behind it is what was typed."""

_ONLY: Final = {
    "@": frozenset({Kind.PEER}),
    ">": frozenset({Kind.PAGE, Kind.ACTION, Kind.ROW}),
}


@final
class PalettePresenter(QObject):
    """Finds; what is chosen is done by the window."""

    def __init__(self, watch: NodeWatch, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watch = watch
        self._peers: Sequence[Entry] = ()
        self._recent: deque[tuple[Kind, str]] = deque(maxlen=RECENT_MAX)

    def begin(self) -> None:
        """Look who the peers are; they stay these until the palette is opened anew."""
        seen = self._watch.snapshot
        accounts = () if seen is None else seen.accounts[:PEERS_MAX]
        self._peers = [_peer(view) for view in accounts]

    def find(self, typed: str, offered: Sequence[Entry]) -> Sequence[Entry]:
        """Return what is found, the best first: of what the window offers, and of what is known here."""
        text = typed.strip()
        if len(text) > TYPED_MAX:
            return ()
        kinds = _ONLY.get(text[:1])
        if kinds is not None:
            text = text[1:].strip()
        entries = [*offered, *self._peers]
        if kinds is not None:
            return best(text, [entry for entry in entries if entry.kind in kinds])
        if not text:
            return self._recent_first(entries)
        return [*questions(text), *best(text, entries)][:SHOWN_MAX]

    def note(self, entry: Entry) -> None:
        """Remember what was chosen: it stands first while nothing is typed."""
        if entry.kind in (Kind.PAGE, Kind.ACTION, Kind.PEER):
            name = entry.kind, entry.key
            if name in self._recent:
                self._recent.remove(name)
            self._recent.appendleft(name)

    def _recent_first(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        named = {(entry.kind, entry.key): entry for entry in entries}
        recent = [named.pop(name) for name in self._recent if name in named]
        return [*recent, *named.values()][:SHOWN_MAX]


def questions(text: str) -> Sequence[Entry]:
    """Return what may be asked about an ILP address, and done with a payment pointer; nothing about other text."""
    if _is_address(text):
        return (
            Entry(
                kind=Kind.QUESTION,
                key=f"{LOOK_UP}{text}",
                title=f"Where would a packet to {text} go?",
                detail="Routes",
            ),
            Entry(
                kind=Kind.QUESTION, key=f"{PING}{text}", title=f"Ping {text}…", detail="Routes"
            ),
        )
    if _is_payable(text):
        pay = Entry(
            kind=Kind.QUESTION, key=f"{PAY}{text}", title=f"Pay {text}…", detail="Payments"
        )
        return (pay,)
    return ()


def _is_address(text: str) -> bool:
    try:
        address(text)
    except PacketError:
        return False
    return True


def _is_payable(text: str) -> bool:
    # A URL without a path is one that is still being typed, a dollar sign is none yet.
    if not text.startswith(("$", "https://", "http://")):
        return False
    try:
        payment_url(text)
    except SpspError:
        return False
    return True


def _peer(view: AccountView) -> Entry:
    account = view.account
    return Entry(
        kind=Kind.PEER,
        key=account.username,
        title=account.name,
        detail=f"Peer, {view.state.value}",
        words=f"{account.username} {account.ilp_address}",
    )
