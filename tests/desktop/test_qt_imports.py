"""What Qt for Python would read of the application, and does not."""

import subprocess
import sys

LOADED = """
import builtins, linecache, sys
plain = builtins.__import__
from desktop.qt_imports import load_qt
load_qt()
assert "PySide6.QtCore" in sys.modules
import desktop.app
print(builtins.__import__ is plain, sum("pyqtgraph" in name or "desktop" in name for name in linecache.cache))
"""


def test_no_source_is_read_for_what_is_imported_after_qt() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True 0\n", "", 0)
