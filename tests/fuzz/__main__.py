"""Fuzz one decoder, or all in turn, guided by coverage: `python -m tests.fuzz prepare -runs=1000000`.

Needs atheris (`pip install --group fuzz`). Behind the target's name stand libFuzzer's own flags; an
input that crashes is written to a file that `-runs=1 FILE` replays. Without a file or a folder of them it
begins with `SEEDS`: from nothing it would not find its way into most of these.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped,unused-ignore]

with atheris.instrument_imports(include=["core"]):
    from tests.fuzz import decoders
    from tests.fuzz.seeds import SEEDS


def main() -> None:
    """Run the target that the first argument names, or each in turn; each in a process of its own."""
    name, *flags = sys.argv[1:] or [""]
    if name != "all" and name not in decoders.TARGETS:
        sys.stderr.write(
            f"usage: python -m tests.fuzz TARGET|all [libFuzzer flags]\ntargets: {', '.join(decoders.TARGETS)}\n"
        )
        sys.exit(2)
    begins_with = [flag for flag in flags if not flag.startswith("-")]
    if name != "all" and begins_with:
        target = decoders.TARGETS[name]
        atheris.Setup([sys.argv[0], *flags], lambda octets: decoders.run(target, octets))
        atheris.Fuzz()  # ends the process
    for each in decoders.TARGETS if name == "all" else [name]:
        with tempfile.TemporaryDirectory() as folder:
            for number, seed in enumerate(SEEDS):
                (Path(folder) / str(number)).write_bytes(seed)
            command = [sys.executable, "-m", "tests.fuzz", each, *flags]
            found = subprocess.run([*command, *([] if begins_with else [folder])], check=False)
        if found.returncode:
            sys.exit(found.returncode)


if __name__ == "__main__":
    main()
