"""This node among others, as the operator sees it: who calls it what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from core.clock import Clock
from core.control.peering_views import AddressSource, ParentView
from core.errors import Conflict
from core.node_address import NodeAddress
from core.peering.parent import ParentAddress
from core.rates.formats import duration


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AddressDesk:
    """Says where this node's address is from, and asks for it again."""

    node_address: NodeAddress
    parent: ParentAddress
    clock: Clock

    def view(self) -> ParentView:
        asker, account = self.parent, self.parent.parent
        answered = asker.answered_at_ms
        if asker.is_given:
            source = AddressSource.GIVEN
        elif account is not None and answered is not None:
            source = AddressSource.PARENT
        else:
            source = AddressSource.STORED
        return ParentView(
            ilp_address=self.node_address.current,
            source=source,
            parent=None if account is None else account.username,
            asked_at_ms=asker.asked_at_ms,
            answered_at_ms=answered,
            next_at_ms=asker.next_at_ms,
            sentence=self._sentence(source),
        )

    async def ask(self) -> ParentView:
        """Ask the parent now; raises Conflict where nobody can be asked."""
        asker, account = self.parent, self.parent.parent
        if asker.is_given:
            raise Conflict(
                f"this node was started as {self.node_address.current}: no parent is asked unless it is"
                " started without an address"
            )
        if account is None:
            raise Conflict(
                "there is no parent to ask: one account, and one alone, has the relation Parent"
            )
        await asker.ask(account)
        return self.view()

    def _sentence(self, source: AddressSource) -> str:
        asker, account = self.parent, self.parent.parent
        ours = self.node_address.current
        if source is AddressSource.GIVEN:
            return f"This node is {ours}, as it was told when it was started."
        if account is None:
            return f"This node is {ours}; it has no parent that could give it an address."
        if asker.problem:
            return f"This node is {ours}. {asker.problem}."
        if asker.answered_at_ms is None:
            return f"This node is {ours} until {account.name} says what it is called."
        ago = duration(self.clock.now_ms() - asker.answered_at_ms)
        return f"{account.name} calls this node {ours}, as it said {ago} ago."
