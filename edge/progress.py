"""Progress bars with rate and remaining time, shown only when stderr is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .console import stderr_is_terminal

Advance = Callable[..., None]


@contextmanager
def progress(description: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show a bar while the block runs, and yield a function that moves it: `advance(count=1, note="")`.

    `total` is None where it is not known. Without a terminal nothing is shown, and rich is not loaded.
    """
    if not stderr_is_terminal():
        yield lambda count=1, note="": None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.1f} {unit}/s")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total, note="")

        def advance(count: int = 1, note: str = "") -> None:
            bars.update(task, advance=count, note=note)

        yield advance
