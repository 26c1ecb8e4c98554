"""What accounts are called on the screen: one name for each, wherever it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import final

from core.control.views import AccountView
from desktop.formatting import learn_code


@final
class Names:
    """The names of the accounts that were last seen; one that is unknown, or gone, has its username."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, accounts: Iterable[AccountView]) -> None:
        """Take the names of these, which are all that there are."""
        views = tuple(accounts)
        self._names = {view.account.username: view.account.name for view in views}
        for code in {view.account.asset.code for view in views}:
            learn_code(code)

    def of(self, username: str) -> str:
        """Return what this account is called."""
        return self._names.get(username, username)

    def in_words(self, sentence: str, *usernames: str) -> str:
        """Return a sentence of the node's with these accounts called as they are everywhere else.

        A label that says something else than the username is followed by it; a username within an
        address is left as it is.
        """
        names = {username: self._both(username) for username in usernames if username}
        if not names:
            return sentence
        found = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
        words = re.compile(rf"(?<![\w.~-])({found})(?![\w~-]|\.\w)")
        return words.sub(lambda match: names[match[1]], sentence)

    def _both(self, username: str) -> str:
        name = self.of(username)
        return name if name.casefold() == username else f"{name} ({username})"
