from __future__ import annotations

from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.edge.errors import OptionError, OutputExistsError
from edge_classify.train import output as module
from edge_classify.train.output import (
    MODEL_FILES,
    UNFINISHED,
    check_output,
    finish_move,
    publish,
    require_apart,
    unfinished,
)

from .support.training import tree


def _write_run(folder: Path, content: bytes, image: str) -> None:
    """Write the files of a run of a built-in set, one image and one model."""
    for name in ("report.html", "audit.json", f"images/{image}", *(f"cnn/{file}" for file in MODEL_FILES)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    Split("images", ("a", "b"), (SplitImage(image, "0" * 64, "a", "train"),)).write(folder)


@pytest.mark.parametrize("moves", range(10))
def test_publishing_that_is_killed_at_any_point_is_completed_by_another_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    run, work = tmp_path / "run", tmp_path / "run" / UNFINISHED
    _write_run(run, b"old", "a/old.png")
    _write_run(work, b"new", "a/new.png")
    (run / "images/a/mine.png").write_bytes(b"mine")
    real, left = module._move, [moves]

    def move(source: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(source, target)

    monkeypatch.setattr(module, "_move", move)
    try:
        publish(work, run, ("cnn",))
    except KeyboardInterrupt:
        monkeypatch.setattr(module, "_move", real)
        # What --resume does: the model stays where it is whole, the rest is written again.
        place = finish_move(work, run, "cnn")
        assert place is not None
        assert all((place / name).read_bytes() == b"new" for name in MODEL_FILES)
        _write_rest_again(work)
        publish(work, run, ("cnn",))
    found = tree(run)
    assert found.pop("images/a/mine.png") == b"mine"
    assert Split.read(run).images[0].path == "a/new.png" and found.pop("split.json")
    names = {"report.html", "audit.json", "images/a/new.png", *(f"cnn/{name}" for name in MODEL_FILES)}
    assert found == dict.fromkeys(names, b"new")


def _write_rest_again(work: Path) -> None:
    made = work / "cnn"
    kept = made.is_dir()
    _write_run(work, b"new", "a/new.png")
    if not kept:
        for path in made.iterdir():
            path.unlink()
        made.rmdir()


def test_finished_model_that_lies_nowhere_whole_is_reported_as_gone(tmp_path: Path) -> None:
    _write_run(tmp_path / "run", b"new", "a/new.png")
    (tmp_path / "run" / "cnn" / "card.json").unlink()
    assert finish_move(tmp_path / "run" / UNFINISHED, tmp_path / "run", "cnn") is None


def test_folder_without_a_request_is_removed_with_the_folders_made_for_it(tmp_path: Path) -> None:
    with unfinished(tmp_path / "new" / "run", resume=False) as work:
        (work / "half").write_bytes(b"")
    assert list(tmp_path.iterdir()) == []


def test_folder_with_a_request_stays_and_a_new_run_empties_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with unfinished(run, resume=False) as work:
        for name in ("request.json", "cnn.checkpoint.npz"):
            (work / name).write_bytes(b"")
        for name in ("cache-1", "cnn.partial", "cnn"):
            (work / name).mkdir()
    with pytest.raises(OutputExistsError, match="holds a training that was not finished"):
        check_output(run, force=False)
    check_output(run, force=True)
    with unfinished(run, resume=True) as work:
        assert {path.name for path in work.iterdir()} == {"request.json", "cnn.checkpoint.npz", "cnn", "lock"}
    with unfinished(run, resume=False) as work:
        assert {path.name for path in work.iterdir()} == {"lock"}
    assert list(tmp_path.iterdir()) == [run]


def test_run_that_is_being_written_is_refused_to_everybody_else(tmp_path: Path) -> None:
    with unfinished(tmp_path, resume=False) as work:
        (work / "request.json").write_bytes(b"")
        for go in (lambda: check_output(tmp_path, False), lambda: unfinished(tmp_path, True).__enter__()):
            with pytest.raises(OptionError, match="Another edge-train is writing"):
                go()
        assert (work / "request.json").is_file()


@pytest.mark.parametrize("inside", ["images", "cnn", UNFINISHED])
def test_data_in_what_a_run_replaces_are_refused(tmp_path: Path, inside: str) -> None:
    with pytest.raises(OptionError, match="is a part of the run"):
        require_apart(tmp_path / inside / "train", tmp_path)


def test_users_model_folder_is_no_run_that_could_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "cnn").mkdir()
    (tmp_path / "cnn" / "model.keras").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"exists, and .* is not an earlier run"):
        check_output(tmp_path, force=True)
