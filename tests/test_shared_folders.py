"""What tests share is made once, and a test that changes it is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support.shared import SharedFolders


def write_two(folder: Path) -> None:
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name)


def test_folder_is_made_once_for_all_that_ask(tmp_path: Path) -> None:
    one, other = SharedFolders(tmp_path), SharedFolders(tmp_path)  # As in two processes.
    folder = one.folder("data", write_two)
    assert other.folder("data", lambda _: pytest.fail("it was made already")) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_making_that_fails_is_tried_again_by_the_next_that_asks(tmp_path: Path) -> None:
    folders = SharedFolders(tmp_path)
    with pytest.raises(FileNotFoundError):
        folders.folder("data", lambda path: path.read_bytes())
    assert (folders.folder("data", write_two) / "a").read_text() == "a"
    assert folders.changes() == []


def test_file_that_is_added_written_or_removed_is_a_change(tmp_path: Path) -> None:
    folders = SharedFolders(tmp_path)
    folder = folders.folder("data", write_two)
    assert folders.changes() == []
    (folder / "c").touch()
    (folder / "a").write_text("another text")
    (folder / "b").unlink()
    assert folders.changes() == ["data/data/a", "data/data/b", "data/data/c"]
