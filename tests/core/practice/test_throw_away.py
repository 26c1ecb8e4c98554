"""What a killed demo leaves is cleared by the next one, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from core.practice.throw_away import LOCK_NAME, ThrowAwayFolder, remove_left

PREFIX = "signalbox-test-"


def kept(within: Path) -> set[str]:
    return {path.name for path in within.iterdir()}


def killed(within: Path) -> Path:
    """Return the folder of a process that was killed while it used it."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from core.practice.throw_away import ThrowAwayFolder\n"
        f"folder = ThrowAwayFolder({PREFIX!r}, within=Path(sys.argv[1]))\n"
        "(folder.path / 'node').mkdir(); (folder.path / 'node' / 'data').write_text('x')\n"
        "print(folder.path, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(within)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        assert remove_left(PREFIX, within=within) == 0, "it is in use"
        process.kill()
    return path


def test_a_folder_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    folder = ThrowAwayFolder(PREFIX, within=tmp_path)
    (folder.path / "data").write_text("x")
    assert folder.path.stat().st_mode & 0o777 == 0o700

    folder.close()

    assert kept(tmp_path) == set()


def test_the_next_one_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    left = killed(tmp_path)
    assert left.exists()

    folder = ThrowAwayFolder(PREFIX, within=tmp_path)

    assert kept(tmp_path) == {folder.path.name}
    folder.close()


def test_one_that_is_in_use_stays(tmp_path: Path) -> None:
    first = ThrowAwayFolder(PREFIX, within=tmp_path)
    second = ThrowAwayFolder(PREFIX, within=tmp_path)

    assert kept(tmp_path) == {first.path.name, second.path.name}
    first.close()
    second.close()


def test_what_only_looks_like_ours_stays(tmp_path: Path) -> None:
    without_lock = tmp_path / f"{PREFIX}without"
    without_lock.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK_NAME).write_text("")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    linked_lock = tmp_path / f"{PREFIX}linked"
    linked_lock.mkdir()
    (linked_lock / LOCK_NAME).symlink_to(elsewhere / LOCK_NAME)
    (tmp_path / f"{PREFIX}file").write_text("")
    before = kept(tmp_path)

    assert remove_left(PREFIX, within=tmp_path) == 0

    assert kept(tmp_path) == before
    assert (elsewhere / LOCK_NAME).exists()
