"""Runs our programs to their end, each a process of its own: it has imported them, and forks.

Each line on standard input is one run as JSON; the answer is a line with its exit code. What the program
writes goes to the two files that the run names.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import core.stores.sqlite  # noqa: F401 - which the programs import when they need it
from core.__main__ import main as signalbox_node
from core.cli.__main__ import main as signalbox_cli
from core.settlement.__main__ import main as signalbox_engine

PROGRAMS: Final[dict[str, Callable[[list[str]], int]]] = {
    "signalbox-node": signalbox_node,
    "signalbox-cli": signalbox_cli,
    "signalbox-engine": signalbox_engine,
}
EXIT_BROKEN: Final = 70


def child(asked: dict[str, Any]) -> None:
    """Be the program; never return."""
    code: object = EXIT_BROKEN
    try:
        for number, name in ((1, asked["out"]), (2, asked["err"])):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        code = PROGRAMS[asked["program"]](asked["arguments"])
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 - the test sees it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else EXIT_BROKEN)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(asked)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
