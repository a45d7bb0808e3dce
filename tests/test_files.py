from __future__ import annotations

import os
from pathlib import Path

import pytest
from edge_classify.edge.errors import OptionError, OutputExistsError
from edge_classify.edge.files import refuse_to_overwrite, write_atomically


@pytest.mark.parametrize(("before", "after"), [(None, 0o640), (0o604, 0o604)])
def test_file_is_written_whole_as_the_umask_allows_or_as_what_it_replaces(
    before: int | None, after: int, tmp_path: Path
) -> None:
    path = tmp_path / "grün 1.json"
    if before is not None:
        path.write_bytes(b"old")
        path.chmod(before)
    umask = os.umask(0o027)
    try:
        write_atomically(path, "neu\n")
    finally:
        os.umask(umask)
    assert path.read_bytes() == b"neu\n"
    assert path.stat().st_mode & 0o777 == after
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_cannot_be_replaced_leaves_what_was_there_and_no_rest(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(OptionError, match="not a regular file"):
        write_atomically(folder, b"data")
    assert sorted(tmp_path.rglob("*")) == [folder, folder / "inside"]


def test_output_that_holds_something_is_refused_unless_forced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputExistsError, match=r"file exists.*--force"):
        refuse_to_overwrite(file, force=False)
    with pytest.raises(OutputExistsError, match=r"folder that is not empty.*--force"):
        refuse_to_overwrite(tmp_path, force=False)
    refuse_to_overwrite(file, force=True)


def test_output_that_is_new_or_an_empty_folder_is_accepted(tmp_path: Path) -> None:
    refuse_to_overwrite(tmp_path, force=False)
    refuse_to_overwrite(tmp_path / "new", force=False)
    assert not (tmp_path / "new").exists()
