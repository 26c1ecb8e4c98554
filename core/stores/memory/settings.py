"""The cluster's small facts in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from core.stores.memory.state import MemoryState
from core.stores.record import SettingStore


@final
class MemorySettings(SettingStore):
    """Names and values; secrets too, since nothing of this is at rest anywhere."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._settings: dict[str, str] = {}
        self._secrets: dict[str, bytes] = {}

    async def load_setting(self, name: str) -> str | None:
        return self._settings.get(name)

    async def save_setting(self, name: str, value: str) -> None:
        self._settings[name] = value
        self._state.changed("settings")

    async def load_secret(self, name: str) -> bytes | None:
        return self._secrets.get(name)

    async def save_secret(self, name: str, secret: bytes) -> None:
        self._secrets[name] = bytes(secret)
        self._state.changed("settings")

    async def agree_on_secret(self, name: str, fresh: bytes) -> bytes:
        if name not in self._secrets:
            await self.save_secret(name, fresh)
        return self._secrets[name]

    async def versions(self) -> Mapping[str, int]:
        return dict(self._state.versions)
