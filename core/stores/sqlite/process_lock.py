"""A lock that dies with its process: whoever can take it knows that its owner is gone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self, final

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@final
class ProcessLock:
    """An exclusive lock on a file of its own, held until it is released or the process ends."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `take`."""
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path, *, create: bool) -> Self | None:
        """Take it without waiting; None if somebody holds it.

        Raises:
            FileNotFoundError: there is no such file and `create` is False.
            OSError: it cannot be opened, or is a symbolic link.
        """
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags | (os.O_CREAT if create else 0), 0o600)
        if _lock(descriptor):
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    def release(self, *, remove: bool) -> None:
        """Let go, and where told so remove the file; idempotent."""
        if self._descriptor is None:
            return
        if remove and sys.platform != "win32":
            # While it is still ours: nobody can have taken a file that we then remove.
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None
        if remove and sys.platform == "win32":
            self.path.unlink(missing_ok=True)  # which removes no open file


if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:

    def _lock(descriptor: int) -> bool:
        # flock belongs to the open file: a second store in this process does not share it.
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
