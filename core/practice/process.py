"""A program of ours as a child process: started, waited for until it says READY, stopped without leftovers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import final

from core.errors import ControlError

READY_SECONDS = 60
"""A first import of the chain's libraries from a cold disk takes half of this."""
STOP_SECONDS = 8
LINES_KEPT = 20


@final
class Child:
    """One child; it ends when its stdin does, so that not even a killed parent leaves it behind."""

    def __init__(self, name: str, module: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._command = (sys.executable, "-m", module, *arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._last_lines: deque[str] = deque(maxlen=LINES_KEPT)

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(
        self, *, environment: Mapping[str, str] | None = None, first_line: str = ""
    ) -> Mapping[str, object]:
        """Start it and return what its READY line says.

        Raises:
            ControlError: it ended, or said nothing in time; with its last words.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        loop = asyncio.get_running_loop()
        assert self._process.stderr is not None
        self._readers.append(loop.create_task(self._collect(self._process.stderr)))
        if first_line:
            await self.say(first_line)
        try:
            async with asyncio.timeout(READY_SECONDS):
                ready = await self._ready()
        except TimeoutError:
            await self.stop()
            raise ControlError(
                f"{self.name} was not ready after {READY_SECONDS} s; it last said: {self.last_words}"
            ) from None
        assert self._process.stdout is not None
        self._readers.append(loop.create_task(self._collect(self._process.stdout)))
        return ready

    async def say(self, line: str) -> None:
        """Write one line to its stdin."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()

    @property
    def last_words(self) -> str:
        """What it wrote last, the last line first: where there is no room for all, the cause is still read."""
        return " / ".join(reversed(self._last_lines)) or "nothing"

    async def stop(self) -> None:
        """End it: its stdin closes, then it is asked, then made to."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers.clear()
        self._process = None

    async def _ready(self) -> Mapping[str, object]:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            text = line.decode(errors="replace").strip()
            if text.startswith("READY"):
                said: dict[str, object] = json.loads(text.removeprefix("READY") or "{}")
                return said
            self._last_lines.append(text)
        await self._process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        raise ControlError(
            f"{self.name} ended at once, with code {self._process.returncode}: {self.last_words}"
        )

    async def _collect(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._last_lines.append(line.decode(errors="replace").rstrip())
