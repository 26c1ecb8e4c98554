"""Under which names those who want to pay reach this node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from core.stream.payment_pointer import payment_pointer


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where this node is reached by who wants to pay."""

    public_host: str | None
    bound: Callable[[], str]
    """Its own address and port, as `127.0.0.1:7770`."""

    def of_account(self, username: str) -> tuple[str | None, str]:
        """Return an account's payment pointer, where there is one, and its URL."""
        return self._named(f"/{username}", f"/accounts/{username}/spsp")

    def of_invoice(self, username: str, invoice_id: str) -> tuple[str | None, str]:
        """Return an invoice's payment pointer, where there is one, and its URL."""
        path = f"/accounts/{username}/invoices/{invoice_id}/spsp"
        return self._named(path, path)

    def _named(self, public: str, local: str) -> tuple[str | None, str]:
        if self.public_host is None:
            return None, f"http://{self.bound()}{local}"
        url = f"https://{self.public_host}{public}"
        return payment_pointer(url), url
