"""Starts edge-classify as fast as Python allows; `python -m edge_classify.edge` does too."""

from __future__ import annotations

import gc
import os

from .interrupts import quit_on_interrupt
from .search_paths import forget_working_folder


def main() -> None:
    """Load the program, then run it.

    What is imported stays until the end, so that the garbage collector need not look through it again and
    again: that would be an eighth of the time that a single photo takes. And numpy would start a thread a
    core for linear algebra, of which there is none here: half of its import.
    """
    quit_on_interrupt()
    forget_working_folder()
    gc.disable()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from .cli import main as command
    from .running import start  # noqa: F401 - what nearly every run needs.

    gc.freeze()
    gc.enable()
    command()


if __name__ == "__main__":
    main()
