"""Which augmentations a run uses, and what it says about them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.edge.card import ModelCard
from edge_classify.train.augmentation_choice import choose_augmentation
from edge_classify.train.dataset import PreparedData
from edge_classify.train.image_facts import ImageFacts
from edge_classify.train.label_keeping import Effect
from edge_classify.train.options import DEFAULT_AUGMENTATIONS, UNMEASURED_AUGMENTATIONS
from edge_classify.train.output import UNFINISHED
from edge_classify.train.request import TrainingRequest
from PIL import Image, ImageDraw

from .support.train_options import make_options
from .support.training import train

_ARROW = ((15, 42), (55, 42), (55, 25), (85, 50), (55, 75), (55, 58), (15, 58))
_TRIANGLES = ([(50, 10), (90, 90), (10, 90)], [(10, 10), (90, 10), (50, 90)])


def _draw(points: Sequence[tuple[float, float]], seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(rng.integers(40, 110, (100, 100, 3)).astype(np.uint8))
    x, y = rng.uniform(-8, 8, 2)
    colour = tuple(int(value) for value in rng.integers(170, 256, 3))
    ImageDraw.Draw(picture).polygon([(x + a, y + b) for a, b in points], fill=colour)
    return picture.rotate(rng.uniform(-10, 10)).resize((48, 48))


def _arrow(label: int, seed: int) -> Image.Image:
    return _draw([(x if label else 100 - x, y) for x, y in _ARROW], 2 * seed + label)


def _triangle(label: int, seed: int) -> Image.Image:
    return _draw(_TRIANGLES[label], 2 * seed + label)


def _prepared(pictures: list[Image.Image], test: list[Image.Image] = []) -> PreparedData:  # noqa: B006
    """Return a data set of two classes in turn; `test` are the test images."""
    pixels = np.stack([np.asarray(picture) for picture in (*pictures, *test)])
    labels, names = ("a", "b"), [f"{number}.png" for number in range(len(pixels))]
    images = tuple(
        SplitImage(name, "0" * 64, labels[number % 2], "train" if number < len(pictures) else "test")
        for number, name in enumerate(names)
    )
    rows = np.arange(len(pixels))
    return PreparedData(
        "drawn",
        Split("drawn", labels, images, (), ()),
        {48: pixels},
        {"train": rows[: len(pictures)], "validation": rows[:0], "test": rows[len(pictures) :]},
        rows % 2,
        tuple(ImageFacts(name, "0" * 64, None) for name in names),
    )


ARROWS = [_arrow(number % 2, number) for number in range(60)]
TRIANGLES = [_triangle(number % 2, number) for number in range(60)]


def test_default_leaves_mirroring_out_where_it_changes_labels_and_says_so_with_figures() -> None:
    choice = choose_augmentation(None, _prepared(ARROWS), np.arange(60), 0)
    assert choice.names == UNMEASURED_AUGMENTATIONS
    assert [each.change for each in choice.measured] == ["mirroring", "rotation"]
    (remark,) = choice.remarks
    assert re.match(r"Mirroring: off; a quick probe recognises \d+% of 60 training images, and \d+%", remark)
    assert remark.endswith("To mirror nevertheless: --augment rotation,shift,shear,zoom,flip")


def test_default_mirrors_where_that_keeps_labels() -> None:
    choice = choose_augmentation(None, _prepared(TRIANGLES), np.arange(60), 0)
    assert choice.names == DEFAULT_AUGMENTATIONS
    assert choice.remarks[0].startswith("Mirroring: on; ")


def test_default_does_not_mirror_where_nothing_can_be_measured() -> None:
    choice = choose_augmentation(None, _prepared(TRIANGLES[:2]), np.arange(2), 0)
    assert choice.names == UNMEASURED_AUGMENTATIONS
    assert choice.measured[0].effect is Effect.UNKNOWN and "Mirroring: off" in choice.remarks[0]


def test_only_training_images_are_looked_at() -> None:
    alone = choose_augmentation(None, _prepared(TRIANGLES), np.arange(60), 0)
    beside = choose_augmentation(None, _prepared(TRIANGLES, ARROWS), np.arange(120), 0)
    assert alone == beside


def test_flip_that_was_asked_for_is_kept_with_a_remark_where_it_does_harm() -> None:
    choice = choose_augmentation(("flip", "zoom"), _prepared(ARROWS), np.arange(60), 0)
    assert choice.names == ("flip", "zoom")
    assert "on, because --augment says so; but a quick probe" in choice.remarks[0]
    assert choose_augmentation(("flip",), _prepared(TRIANGLES), np.arange(60), 0).remarks == ()


def test_list_without_flip_is_taken_as_it_is_and_measured_on_nothing() -> None:
    choice = choose_augmentation(("zoom",), _prepared(ARROWS), np.arange(60), 0)
    assert (choice.names, choice.measured, choice.remarks) == (("zoom",), (), ())


def test_what_an_earlier_process_measured_decides_again() -> None:
    measured = choose_augmentation(None, _prepared(ARROWS), np.arange(60), 0).measured
    kept = (replace(measured[0], effect=Effect.KEEPS), measured[1])
    assert choose_augmentation(None, _prepared(ARROWS), np.arange(60), 0, kept).names == DEFAULT_AUGMENTATIONS
    turned = (measured[0], replace(measured[1], effect=Effect.CHANGES))
    choice = choose_augmentation(None, _prepared(ARROWS), np.arange(60), 0, turned)
    assert choice.names == ("shift", "shear", "zoom") and "Rotation: off" in choice.remarks[1]


def test_request_keeps_what_was_measured(tmp_path: Path) -> None:
    measured = choose_augmentation(None, _prepared(ARROWS), np.arange(60), 0).measured
    (tmp_path / UNFINISHED).mkdir()
    request = TrainingRequest("data", make_options(augment=None), "edge-train", ".", {}).with_keeping(
        measured
    )
    request.write(tmp_path / UNFINISHED)
    assert TrainingRequest.read(tmp_path) == request


def _write(root: Path, each: int) -> Path:
    for label, name in enumerate(("left", "right")):
        (root / name).mkdir(parents=True)
        for number in range(each):
            _arrow(label, number).save(root / name / f"{number}.png")
    return root


@pytest.mark.slow
def test_training_on_arrows_says_in_log_card_and_report_that_it_does_not_mirror(tmp_path: Path) -> None:
    data, run = _write(tmp_path / "arrows", 20), tmp_path / "run"
    result = train(data, "-o", run, "--model", "cnn", "--image-size", "32", "--epochs", "1,0")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.output.splitlines() if "Mirroring: off" in line)
    assert result.output.index(line) < result.output.index("cnn phase 1")
    card = ModelCard.from_json((run / "cnn" / "card.json").read_bytes())
    assert card.training is not None
    assert card.training.options["augment"] == list(UNMEASURED_AUGMENTATIONS)
    mirroring, _ = card.training.options["label_keeping"]
    assert (mirroring["change"], mirroring["effect"]) == ("mirroring", "changes")
    assert json.dumps(mirroring["accuracy"]) and f"{mirroring['accuracy']:.0%} of" in line
    assert "Mirroring: off; a quick probe" in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_left_and_right_arrows_are_learnt_by_default(tmp_path: Path) -> None:
    data, run = _write(tmp_path / "arrows", 120), tmp_path / "run"
    result = train(data, "-o", run, "--model", "cnn", "--image-size", "32", "--epochs", "7,7")
    assert result.exit_code == 0, result.output
    assert json.loads((run / "cnn" / "metrics.json").read_text())["accuracy"] > 0.9


def test_folder_of_the_name_of_a_built_in_set_is_meant_and_the_other_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("digits", "cifar10"):
        _write(tmp_path / name, 6)
        result = train(name, "--audit-only")
        assert result.exit_code == 0 and "left (6); right (6)" in result.output
        assert f"{name} is the folder of this name here, not the built-in set" in result.output
        assert f"for that one, give built-in:{name}" in result.output
    assert "1,797 images are smaller" in train("built-in:digits", "--audit-only").output


@pytest.mark.slow
def test_run_of_such_a_folder_names_it_in_its_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "digits", 6)
    result = train("digits", "-o", "run", "--model", "cnn", "--image-size", "32", "--epochs", "1,0")
    assert result.exit_code == 0, result.output
    assert Split.read(tmp_path / "run").root == "./digits"
    assert not (tmp_path / "run" / "images").exists()


def test_name_of_a_built_in_set_without_such_a_folder_is_the_built_in_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = train("digits", "--audit-only").output
    assert "1,797 images are smaller" in output and "is the folder" not in output


def test_built_in_set_that_does_not_exist_is_refused_with_those_that_do() -> None:
    result = train("built-in:mnist", "--audit-only")
    assert result.exit_code == 2
    assert "There is no built-in set 'mnist', but digits and cifar10." in result.output
