"""Writes into pages what their commands print today.

    python -m manual.refresh [--workspace FOLDER] [PAGE ...]

Without a page, into all. --workspace names an example workspace that is there already.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from manual.commands import ROOT, Shown, pages
from manual.run import StepError, copy_workspace, run_page, shown_part
from manual.workspace import make_workspace


@click.command()
@click.argument("names", metavar="PAGE...", nargs=-1)
@click.option("--workspace", type=click.Path(path_type=Path), help="An example workspace; made if not given.")
def main(names: tuple[str, ...], workspace: Path | None) -> None:
    """Run the commands of pages, and write what they print into the pages."""
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        if workspace is None:
            workspace = Path(scratch) / "example"
            make_workspace(workspace)
        for number, name in enumerate(names or pages()):
            click.echo(name)
            try:
                refresh(ROOT / name, copy_workspace(workspace.resolve(), Path(scratch) / f"page{number}"))
            except StepError as error:
                failed = True
                click.echo(error, err=True)
    sys.exit(failed)


def refresh(page: Path, folder: Path) -> None:
    """Rewrite the outputs of one page; a page of which a step fails stays as it is. Raises StepError."""
    new: list[tuple[Shown, str]] = []
    for printed in run_page(page, folder):
        new += [(shown, shown_part(printed, shown)) for shown in printed.step.shown]
    lines = page.read_text(encoding="utf-8").splitlines()
    for shown, text in reversed(new):
        lines[shown.start : shown.end] = [f"{shown.indent}{line}".rstrip() for line in text.splitlines()]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
