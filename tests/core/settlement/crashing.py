"""A process that dies before its n-th call to the store or the ledger, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final


class Killed(BaseException):
    """The process ends here: nothing catches this, as nothing catches a power cut."""


class Burning(Protocol):
    def call(self, name: str) -> None:
        """Be told of a call that is about to be made; do not return if it is never made."""


@final
@dataclass(slots=True)
class Fuse:
    """Counts calls, and burns at one of them."""

    calls_left: int | None = None
    """None is a fuse that never burns."""
    calls: int = 0

    def call(self, name: str) -> None:
        self.calls += 1
        if self.calls_left is not None:
            if self.calls_left == 0:
                raise Killed
            self.calls_left -= 1


@final
class Dying:
    """Stands before a store or a ledger; each call of a method may be the last."""

    def __init__(self, target: Any, fuse: Burning) -> None:
        self._target = target
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found
        return self._fused(name, found)

    def _fused(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def fused(*arguments: Any, **named: Any) -> Any:
            self._fuse.call(name)
            return call(*arguments, **named)

        return fused
