from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from edge_classify.benchmarks.results.result import MeasuredAccuracy
from edge_classify.benchmarks.scoring.answers import open_models
from edge_classify.benchmarks.scoring.labelled import LabelledData, labelled_images
from edge_classify.benchmarks.scoring.score import score
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.benchmarks.scoring.training_images import find_splits, training_remark
from edge_classify.edge.errors import DatasetError

from .support.accuracy_models import COLOURS, random_pictures, write_model

SUBSETS = ("train", "train", "validation", "test", "test", "test")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photos of each colour."""
    return random_pictures(tmp_path / "photos", COLOURS, len(SUBSETS))


def _write_run(folder: Path, photos: Path) -> tuple[Path, Split]:
    """Split the photos of each class as SUBSETS says."""
    images = tuple(
        SplitImage(f"{label}/{number}.png", _sha256(photos / label / f"{number}.png"), label, subset)
        for label in COLOURS
        for number, subset in enumerate(SUBSETS)
    )
    folder.mkdir()
    split = Split(str(photos), COLOURS, images)
    split.write(folder)
    return folder, split


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _score(file: Path, data: LabelledData, run: Path | None = None) -> MeasuredAccuracy:
    (found,) = score(open_models([file]), data, find_splits(data, [file], run)).outcomes
    assert isinstance(found, MeasuredAccuracy)
    return found


def test_training_images_planted_in_a_folder_are_named(tmp_path: Path, photos: Path) -> None:
    run, split = _write_run(tmp_path / "run", photos)
    file = write_model(tmp_path / "elsewhere.tflite", split_sha256=split.sha256)
    mine = random_pictures(tmp_path / "mine", COLOURS, 4, seed=9)
    shutil.copy(photos / "green" / "1.png", mine / "green" / "my photo.png")
    shutil.copy(photos / "blue" / "2.png", mine / "blue" / "other.png")
    found = _score(file, labelled_images(mine), run)
    assert (found.training_images, found.validation_images, found.own_split) == (1, 1, True)
    assert found.training_examples == ("green/my photo.png",)
    assert training_remark(found, "m.tflite") == (
        "1 of the 14 images of mine were used to train m.tflite, such as green/my photo.png: "
        "its accuracy is too good"
    )


def test_test_split_of_the_models_own_run_holds_no_training_images(tmp_path: Path, photos: Path) -> None:
    run, split = _write_run(tmp_path / "run", photos)
    file = write_model(tmp_path / "m.tflite", split_sha256=split.sha256)
    found = _score(file, labelled_images(run))
    assert (found.training_images, found.validation_images, found.own_split) == (0, 0, True)
    assert training_remark(found, "m.tflite") is None


def test_model_beside_its_run_is_recognized_without_being_told(tmp_path: Path, photos: Path) -> None:
    run, split = _write_run(tmp_path / "run", photos)
    (run / "models").mkdir()
    file = write_model(run / "models" / "m.tflite", split_sha256=split.sha256)
    found = _score(file, labelled_images(photos))
    assert (found.training_images, found.validation_images) == (6, 3)
    assert found.images == 18 and len(found.training_examples) == 6


def test_validation_images_are_told_apart(tmp_path: Path, photos: Path) -> None:
    run, split = _write_run(tmp_path / "run", photos)
    file = write_model(tmp_path / "m.tflite", split_sha256=split.sha256)
    mine = random_pictures(tmp_path / "mine", COLOURS, 1, seed=9)
    shutil.copy(photos / "red" / "2.png", mine / "red")
    remark = training_remark(_score(file, labelled_images(mine), run), "m.tflite")
    assert remark is not None and remark.startswith("1 of the 4 images of mine are validation images")


@pytest.mark.parametrize("own", ["0" * 64, None])
def test_split_of_another_run_proves_nothing(tmp_path: Path, photos: Path, own: str | None) -> None:
    run, _ = _write_run(tmp_path / "run", photos)
    file = write_model(tmp_path / "m.tflite", split_sha256=own)
    found = _score(file, labelled_images(run))
    assert (found.training_images, found.own_split) == (0, False)
    remark = training_remark(found, "m.tflite")
    assert remark is not None and remark.startswith("m.tflite does not name the known split as its own")


def test_models_without_a_known_split_are_not_judged(tmp_path: Path, photos: Path) -> None:
    run, _ = _write_run(tmp_path / "run", photos)
    file = write_model(run / "foreign.tflite")  # Lies there, and says nothing of its training.
    (tmp_path / "split.json").write_text('{"somebody": "else"}')
    found = _score(file, labelled_images(photos))
    assert (found.training_images, found.own_split, found.training_examples) == (None, None, ())
    assert training_remark(found, "foreign.tflite") is None


def test_run_that_is_none_is_refused(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(DatasetError, match="is not a run of edge-train"):
        find_splits(labelled_images(photos), [], tmp_path)


@pytest.mark.slow
def test_real_run_is_clean_on_its_test_split_and_caught_on_all_its_photos(
    run: Path, converted: Path, shapes: Path
) -> None:
    split = Split.read(run)
    train = sum(image.subset == "train" for image in split.images)
    files = sorted(converted.glob("cnn_*.tflite"))
    clean = score(open_models(files), data := labelled_images(run), find_splits(data, files)).outcomes
    caught = score(
        open_models(files), data := labelled_images(shapes), find_splits(data, files, run)
    ).outcomes
    for one, other, file in zip(clean, caught, files, strict=True):
        assert isinstance(one, MeasuredAccuracy) and isinstance(other, MeasuredAccuracy)
        assert (one.training_images, one.own_split) == (0, True)
        assert (other.training_images, other.own_split) == (train, True) and train > 0
        base = None if "float32" in file.name else str(converted / "cnn_float32.tflite")
        assert (one.pairing.base if one.pairing else None) == base
