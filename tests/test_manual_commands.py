"""Every command that the manual and the README show does what they say, and prints what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from manual.commands import ROOT, pages
from manual.run import copy_workspace, difference, run_page, shown_part
from manual.workspace import make_workspace

from .support.shared import SharedFolders

pytestmark = pytest.mark.manual


@pytest.fixture(scope="session")
def workspace(shared: SharedFolders) -> Path:
    return shared.folder("example", make_workspace)


@pytest.mark.parametrize("page", pages())
def test_commands_of_a_page_print_what_it_shows(page: str, workspace: Path, tmp_path: Path) -> None:
    folder = copy_workspace(workspace, tmp_path / "example")
    found = [
        f"{page}, line {shown.start}:\n{told}"
        for printed in run_page(ROOT / page, folder)
        for shown in printed.step.shown
        if (told := difference(shown.text, shown_part(printed, shown)))
    ]
    assert not found, "\n\n".join([*found, f"If the program is right: python -m manual.refresh {page}"])
