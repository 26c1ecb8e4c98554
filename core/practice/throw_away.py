"""Folders that nobody keeps: gone when their process closes them, and at the next start where it was killed."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final, final

from core.stores.sqlite.process_lock import ProcessLock

log = logging.getLogger(__name__)

LOCK_NAME: Final = "in-use.lock"
"""A folder of ours has it, and whoever can take it knows that the process that made the folder is gone."""


@final
class ThrowAwayFolder:
    """A new folder among the temporary ones, 0700, and a lock in it as long as this process lives."""

    def __init__(self, prefix: str, *, within: Path | None = None) -> None:
        """Make it, and remove those of this prefix whose processes were killed."""
        parent = within or Path(tempfile.gettempdir())
        remove_left(prefix, within=parent)
        while True:
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            lock = ProcessLock.take(path / LOCK_NAME, create=True)
            if lock is not None:
                break
            # Another process looked between the making of the file and its locking, and removes the folder.
        self.path: Final = path
        self._lock: Final = lock

    def close(self) -> None:
        """Remove it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release(remove=False)


def remove_left(prefix: str, *, within: Path) -> int:
    """Remove folders of this prefix that are ours and provably nobody's any more; return how many.

    One without its lock, of another user, or reached by a link is left alone, whatever it is called.
    """
    removed = 0
    for folder in sorted(within.glob(f"{prefix}*")):
        try:
            if not _is_ours(folder) or not _is_ours(folder / LOCK_NAME, is_file=True):
                continue
            lock = ProcessLock.take(folder / LOCK_NAME, create=False)
        except OSError:
            continue
        if lock is None:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        lock.release(remove=False)
        removed += 1
        log.info("%s was left by a process that was killed, and is removed", folder)
    return removed


def _is_ours(path: Path, *, is_file: bool = False) -> bool:
    found = path.lstat()
    kind = stat.S_ISREG if is_file else stat.S_ISDIR
    return kind(found.st_mode) and (os.name != "posix" or found.st_uid == os.getuid())
