from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from studies.image_units import parse_rules
from studies.recipes.held_out import HELD_OUT, hold_out
from studies.recipes.tables import calibration_p, coverage_at
from studies.recipes.trial import Trial

CLASSES = ("glass", "paper")
UNIT = parse_rules([r"waste=_(\d+)/10"])["waste"]


@pytest.fixture
def waste(tmp_path: Path) -> Path:
    """A set in which ten numbers are one object: 40 photos of each class to train with, and 5 to test."""
    for subset, numbers in (("train", range(1, 41)), ("test", range(41, 46))):
        for label in CLASSES:
            folder = tmp_path / "waste" / subset / label
            folder.mkdir(parents=True)
            for number in numbers:
                Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"{label}_{number:04d}.png")
    return tmp_path / "waste"


def _numbers(folder: Path, subset: str, label: str) -> set[int]:
    return {int(path.stem[-4:]) for path in (folder / subset / label).iterdir()}


def test_photos_that_choose_are_whole_units_of_training_photos(waste: Path, tmp_path: Path) -> None:
    made = hold_out(waste, tmp_path / "photos", UNIT, report=False, per_class=None)
    for label in CLASSES:
        train, held = (_numbers(made.folder, subset, label) for subset in ("train", "test"))
        assert train | held == set(range(1, 41)) and not train & held
        assert len(held) == HELD_OUT * 40
        assert len({(number - 1) // 10 for number in held}) == 1
    again = hold_out(waste, tmp_path / "again", UNIT, report=False, per_class=None)
    assert [_numbers(again.folder, "test", label) for label in CLASSES] == [
        _numbers(made.folder, "test", label) for label in CLASSES
    ]


def test_photos_that_report_are_the_test_photos_of_the_set(waste: Path, tmp_path: Path) -> None:
    made = hold_out(waste, tmp_path / "photos", UNIT, report=True, per_class=3)
    assert len(_numbers(made.folder, "train", "glass")) == 3
    assert _numbers(made.folder, "test", "glass") < set(range(41, 46))


def test_set_without_test_photos_and_class_of_one_unit_are_refused(waste: Path, tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="must have train/ and test/"):
        hold_out(waste / "train", tmp_path / "photos", UNIT, report=True, per_class=None)
    whole = parse_rules([r"waste=_(\d+)/1000"])["waste"]
    with pytest.raises(click.ClickException, match="class glass has 1 unit, and two are needed"):
        hold_out(waste, tmp_path / "photos", whole, report=False, per_class=None)


def _answers(
    rng: np.random.Generator, images: int, power: float
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return probabilities of three classes and classes drawn by them, before they are raised to a power."""
    honest = rng.dirichlet([0.6, 0.6, 0.6], images)
    truth = np.array([rng.choice(3, p=row) for row in honest])
    told = honest**power
    return (told / told.sum(axis=1, keepdims=True)).astype(np.float32), truth


def test_calibration_is_rejected_by_chance_as_often_as_stated_and_surely_where_it_is_wrong() -> None:
    rng = np.random.default_rng(0)
    honest = [calibration_p(*_answers(rng, 200, 1.0)) for _ in range(400)]
    oversure = [calibration_p(*_answers(rng, 200, 2.0)) for _ in range(100)]
    assert 0.02 < np.mean(np.array(honest) < 0.05) < 0.085  # 5 %, give or take three standard errors.
    assert np.mean(np.array(oversure) < 0.05) > 0.9


def test_coverage_is_the_largest_share_that_is_precise_enough() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    probabilities = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    assert coverage_at(probabilities, np.array([0, 0, 1, 0]), 1.0) == 0.5
    assert coverage_at(probabilities, np.array([0, 0, 1, 0]), 0.75) == 1.0
    assert coverage_at(probabilities, np.array([1, 0, 0, 0]), 0.9) == 0.0


def test_trial_written_and_read_again_is_the_same(tmp_path: Path) -> None:
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    trial = Trial(
        "waste",
        "default",
        3,
        ("a/1.png", "b/2.png"),
        np.array([1, 1]),
        probabilities,
        probabilities,
        None,
        8.5,
        7,
    )
    trial.write(tmp_path / "trial.npz")
    read = Trial.read(tmp_path / "trial.npz")
    assert read.paths == trial.paths and read.threshold is None and (read.seconds, read.peak) == (8.5, 7)
    assert np.array_equal(read.int8, probabilities) and read.right.tolist() == [True, False]
