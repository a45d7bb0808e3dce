"""Starts edge-train; `python -m edge_classify.train` does too."""

from __future__ import annotations

from ..edge.interrupts import quit_on_interrupt
from ..edge.search_paths import forget_working_folder


def main() -> None:
    """Load the program, then run it."""
    quit_on_interrupt()
    forget_working_folder()
    from .cli import main as command

    command()


if __name__ == "__main__":
    main()
