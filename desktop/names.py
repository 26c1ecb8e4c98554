"""What accounts are called on the screen: one name for each, wherever it is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from core.control.views import AccountView


@final
class Names:
    """The names of the accounts that were last seen; one that is unknown, or gone, has its username."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, accounts: Iterable[AccountView]) -> None:
        """Take the names of these, which are all that there are."""
        self._names = {view.account.username: view.account.name for view in accounts}

    def of(self, username: str) -> str:
        """Return what this account is called."""
        return self._names.get(username, username)
