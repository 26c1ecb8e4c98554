"""Fuzz one decoder, or all in turn, guided by coverage: `python -m tests.fuzz prepare -runs=1000000`.

Needs atheris (`pip install --group fuzz`). Behind the target's name stand libFuzzer's own flags; an
input that crashes is written to a file that `-runs=1 FILE` replays.
"""

from __future__ import annotations

import subprocess
import sys

import atheris  # type: ignore[import-untyped,unused-ignore]

with atheris.instrument_imports(include=["core"]):
    from tests.fuzz import decoders


def main() -> None:
    """Run the target that the first argument names; without one, each in a process of its own."""
    names = sys.argv[1:2] if sys.argv[1:2] and not sys.argv[1].startswith("-") else []
    if not names or names[0] not in decoders.TARGETS:
        sys.stderr.write(
            f"usage: python -m tests.fuzz TARGET|all [libFuzzer flags]\ntargets: {', '.join(decoders.TARGETS)}\n"
        )
        if names != ["all"]:
            sys.exit(2)
        for name in decoders.TARGETS:
            command = [sys.executable, "-m", "tests.fuzz", name, *sys.argv[2:]]
            subprocess.run(command, check=True)
        return
    target = decoders.TARGETS[names[0]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], lambda octets: decoders.run(target, octets))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
