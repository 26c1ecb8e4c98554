"""Under which names others reach this node: its ILP address, and how its own account is paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from PySide6.QtCore import QObject, Signal

from core.errors import InterledgerError
from desktop.models.node_names import NodeName
from desktop.presenters.watch import NodeWatch


@final
class NodeNamesPresenter(QObject):
    """Knows the address at once, and asks the node for the pointer of who is paid at its host."""

    changed = Signal(object)
    """All names, as a sequence of NodeName."""

    def __init__(
        self,
        watch: NodeWatch,
        default_account: str | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._watch = watch
        self._default_account = default_account
        self._pointer = ""
        self._told: Sequence[NodeName] = ()
        watch.looked.connect(self._tell)

    @property
    def names(self) -> Sequence[NodeName]:
        """The names that are known; none before the node was seen."""
        seen = self._watch.snapshot
        if seen is None:
            return ()
        names = [
            NodeName(
                title="ILP address",
                text=seen.status.ilp_address,
                hint="Peers set routes to it, and packets are sent to it.",
            )
        ]
        if self._pointer:
            names.append(
                NodeName(
                    title="Payment pointer",
                    text=self._pointer,
                    hint=f"Whoever pays it pays {self._watch.names.of(self._default_account or '')}.",
                )
            )
        return names

    def ask(self) -> None:
        """Ask for the payment pointer; it comes with `changed`."""
        if self._default_account is not None:
            self._watch.tasks.start(self.load(self._default_account))

    async def load(self, username: str) -> None:
        """Ask for an account's pointer, and return once it is known; one that is not there has none."""
        try:
            found = await self._watch.operator.receive_address(username)
        except InterledgerError:
            self._pointer = ""
        else:
            # A URL of this machine's own is no use to anybody who reads it from the screen.
            self._pointer = found.payment_pointer or ""
        self._tell()

    def _tell(self) -> None:
        names = self.names
        if names != self._told:
            self._told = names
            self.changed.emit(names)
