"""A node with very many payments: the same one again and again, a page of one row each."""

from __future__ import annotations

from typing import Any, final

from core.control.node_control import NodeControl
from core.control.payment_views import PaymentPage, PaymentQuery, PaymentView
from core.errors import StoreUnavailable


@final
class Archive:
    """What the operator's door is, but for the list of payments."""

    def __init__(
        self,
        control: NodeControl,
        row: PaymentView,
        *,
        pages: int,
        broken_at: int | None = None,
    ) -> None:
        """`broken_at` is the page that the store cannot return, the first being 0."""
        self._control = control
        self._row = row
        self._pages = pages
        self._broken_at = broken_at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    async def payments(self, query: PaymentQuery) -> PaymentPage:
        page = query.before or 0
        if page == self._broken_at:
            raise StoreUnavailable("the disk is gone")
        following = page + 1
        return PaymentPage(
            rows=[self._row], next=following if following < self._pages else None
        )
