"""Settlement engines as the operator sees them: which serve what, and whether they live."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import final

from core.clock import Clock
from core.control.account_fields import read_asset_code, read_engine_url
from core.control.views import EngineView
from core.errors import SettingError
from core.rates.formats import duration
from core.settlement.records import (
    BUNDLED_ENGINE_SCHEME,
    BUNDLED_ENGINES,
    EngineStatus,
    SettlementView,
)

log = logging.getLogger(__name__)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineDesk:
    """What the operator does with engines."""

    settlements: SettlementView
    clock: Clock
    alive_ms: int

    async def all(self) -> Sequence[EngineView]:
        return tuple(self.view(status) for status in await self.settlements.engine_statuses())

    def view(self, status: EngineStatus) -> EngineView:
        """Return an engine with what its last signs mean now."""
        silent_ms = self.clock.now_ms() - status.heartbeat_at_ms
        if status.stopped_at_ms is not None:
            since = duration(self.clock.now_ms() - status.stopped_at_ms)
            return EngineView(
                status=status, alive=False, sentence=f"{status.name} was stopped {since} ago."
            )
        if silent_ms > self.alive_ms:
            return EngineView(
                status=status,
                alive=False,
                sentence=f"{status.name} has not been heard of for {duration(silent_ms)}:"
                " its process is gone or hangs.",
            )
        if status.problem:
            sentence = f"{status.name} runs and has a problem: {status.problem}"
        else:
            where = f" on {status.ledger}" if status.ledger else ""
            block = "" if status.head is None else f", at block {status.head}"
            sentence = f"{status.name} runs{where}{block}."
        return EngineView(status=status, alive=True, sentence=sentence)

    async def set_urls(self, urls: Mapping[str, str]) -> Mapping[str, str]:
        """Add or replace the default engines of these assets; raises SettingError."""
        checked: dict[str, str] = {}
        for given, url in urls.items():
            code = read_asset_code(given)
            if code in checked:
                raise SettingError(code, "it stands there twice, and has one engine")
            engine = read_engine_url(f"the engine of {code}", url)
            if engine is None:
                raise SettingError(
                    f"the engine of {code}", "it is empty; it needs an engine's URL"
                )
            checked[code] = engine
        await self.settlements.save_engine_urls(checked)
        known = {
            status.name: status.asset_code
            for status in await self.settlements.engine_statuses()
        }
        for code, engine in checked.items():
            if (doubt := engine_doubt(engine, code, known)) is not None:
                log.warning("the engine of %s: %s", code, doubt)
        log.info("default settlement engines were set for %s", ", ".join(sorted(checked)))
        return await self.settlements.load_engine_urls()


def engine_doubt(url: str | None, asset_code: str, known: Mapping[str, str]) -> str | None:
    """Return why a bundled engine is probably not meant for an asset, or None.

    `known` have run on this store, each with what it pays.
    """
    name = None if url is None else engine_name(url)
    if name is None:
        return None
    pays = {**BUNDLED_ENGINES, **known}
    if name in pays:
        if pays[name] == asset_code:
            return None
        return f"the engine {name} pays {pays[name]}, so nothing will be paid in {asset_code}"
    near = get_close_matches(name, sorted(pays), n=1)
    hint = f"did you mean {BUNDLED_ENGINE_SCHEME}{near[0]}?" if near else "is its name right?"
    return f"no engine called {name} has ever run here, so nothing will be paid: {hint}"


def engine_name(url: str) -> str | None:
    """Return the name of a bundled engine; None for a URL of somebody else's."""
    if not url.startswith(BUNDLED_ENGINE_SCHEME):
        return None
    return url.removeprefix(BUNDLED_ENGINE_SCHEME)
