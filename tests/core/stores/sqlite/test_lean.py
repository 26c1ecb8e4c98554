"""What a node loads: not what only graphs need."""

import subprocess
import sys


def test_a_node_loads_no_numpy_and_whoever_wants_it_still_gets_it() -> None:
    program = """
import sys
import core.host, core.settlement.__main__, core.stores.sqlite
assert "sqlite_utils" in sys.modules
assert "numpy" not in sys.modules, "drawn in by " + ", ".join(sorted(sys.modules))
import numpy
assert int(numpy.array([1]).sum()) == 1
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stderr
