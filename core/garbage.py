"""How Python's garbage collector is set in a process that forwards packets, with or without a window.

What has no cycles is freed by itself at once; the collector only looks for cycles, and while it looks
everything waits. What lives on is kept as plain tuples where there is much of it: a look takes
those out of its sight.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (2_000, 20, 50)
"""A look at so many new objects takes less than 2 ms; at many more at once each takes several times as long,
since they are in the processor's cache no longer."""


def calm_garbage_collector() -> None:
    """Take what start-up has made out of the collector's sight, and let it look at little at a time.

    Its full passes, over all that a start has loaded, are what makes a loaded window stutter.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
