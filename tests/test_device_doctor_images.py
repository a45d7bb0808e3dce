"""What labelled images tell the doctor about how a model is fed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.edge.card import Accuracy
from edge_classify.edge.classifier import DEFAULT_EXECUTION, Classifier
from edge_classify.edge.doctor.finding import ERROR, OK, WARNING, Finding
from edge_classify.edge.doctor.images import check_labelled, sample_images
from edge_classify.edge.doctor.models import ModelQuestions, check_model
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import NAMED_NORMALIZATIONS, Normalization
from edge_classify.edge.tflite.sealing import complete_card, seal
from PIL import Image

from .support.tiny_model import LABELS, card, classifier

# The tiny model answers "grey" for bright pictures, and else the strongest colour.
COLORS = {"red": (230, 40, 20), "green": (30, 220, 40), "blue": (20, 40, 230), "grey": (245, 245, 245)}


def _folder(root: Path, per_class: int = 12, wrong: int = 0) -> Path:
    """Write a folder of labelled pictures; the first `wrong` of each class show another class's colour."""
    rng = np.random.default_rng(0)
    names = list(COLORS)
    for place, label in enumerate(names):
        (root / label).mkdir(parents=True)
        for number in range(per_class):
            shown = names[(place + 1 + number % 3) % 4] if number < wrong else label
            pixels = np.asarray(COLORS[shown]) + rng.integers(-9, 10, (10, 12, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{number}.png")
    return root


def _carded(path: Path, labels: tuple[str, ...] = LABELS, top1: float | None = None) -> Path:
    """Write the tiny model with a card; `labels` in another order than it was made for are wrong ones."""
    accuracy = Accuracy("test", 1000, top1, (top1 - 0.01, top1 + 0.01), 0.9, 0.01) if top1 else None
    finished = complete_card(classifier(), replace(card(labels), accuracy=accuracy), "float32")
    path.write_bytes(seal(classifier(), finished))
    return path


def _examine(
    path: Path, folder: Path, labels: tuple[str, ...] | None = None, scaling: Normalization | None = None
) -> list[Finding]:
    asked = ModelQuestions(ForeignFacts(labels, scaling), DEFAULT_EXECUTION, folder, 60)
    return [finding for finding in check_model(path, asked) if folder.name in finding.name]


def test_model_that_is_fed_as_it_was_trained_is_ok_with_its_rate(tmp_path: Path) -> None:
    (found,) = _examine(_carded(tmp_path / "m.tflite", top1=0.98), _folder(tmp_path / "photos"))
    assert found.status == OK
    assert found.detail == (
        "right on 48 of 48 images, 100.0% (92.6% to 100.0%); its card says 98.0% (97.0% to 99.0%)"
    )


def test_model_that_learned_from_bgr_is_an_error_that_says_so(tmp_path: Path) -> None:
    learned = ("blue", "green", "red", "grey")  # Trained with red and blue exchanged, it calls red "blue".
    (found,) = _examine(_carded(tmp_path / "m.tflite", learned, 0.98), _folder(tmp_path / "photos"))
    assert found.status == ERROR
    assert "right on 24 of 48 images" in found.detail
    assert "with red and blue exchanged on 48 of 48 images" in found.detail
    # 2 / 2**24 (24 images are right in one way only), times 3 other readings.
    assert "(p = 4e-07)" in found.detail
    assert found.remedy == (
        "Convert it again with --color BGR; or --labels with these lines, in this order: red, green, blue, "
        "grey. These images cannot tell which: it is known from the training"
    )


def test_labels_in_another_order_are_an_error_that_names_the_pairs(tmp_path: Path) -> None:
    moved = ("grey", "red", "green", "blue")
    (found,) = _examine(_carded(tmp_path / "m.tflite", moved), _folder(tmp_path / "photos"))
    assert found.status == ERROR
    assert "'grey' is answered as 'blue'" in found.detail
    assert found.remedy is not None
    assert "--labels" in found.remedy


def test_model_right_far_less_often_than_its_card_says_is_a_warning(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "photos", wrong=4)
    (found,) = _examine(_carded(tmp_path / "m.tflite", top1=0.98), folder)
    assert found.status == WARNING
    assert "right on 32 of 48 images, 66.7%" in found.detail
    (fine,) = _examine(_carded(tmp_path / "n.tflite", top1=0.7), folder)
    assert fine.status == OK


def test_folders_that_the_model_does_not_know_are_an_error_that_lists_them(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "photos")
    (folder / "red").rename(folder / "rouge")
    unknown, rate = _examine(_carded(tmp_path / "m.tflite"), folder)
    assert unknown.status == ERROR
    assert unknown.detail == "the model does not know 'rouge'; it knows 'red', 'green', 'blue', 'grey'"
    assert "36 of 36" in rate.detail


def test_float_model_that_does_not_say_its_range_is_told_which_one_is_right(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    (found,) = _examine(path, _folder(tmp_path / "photos"), LABELS)
    assert found.status == ERROR
    assert found.remedy == "Give --normalization 0..255"
    assert "--normalization 0..255: 48 of 48 images" in found.detail
    assert "--normalization 0..1: 36 of 48 images" in found.detail  # Bright ones are never "grey" then.


def test_float_model_given_the_wrong_range_is_told_the_right_one(tmp_path: Path) -> None:
    path, folder = tmp_path / "m.tflite", _folder(tmp_path / "photos")
    path.write_bytes(classifier())
    (found,) = _examine(path, folder, LABELS, NAMED_NORMALIZATIONS["0..1"])
    assert (found.status, found.remedy) == (ERROR, "Give --normalization 0..255")
    (fine,) = _examine(path, folder, LABELS, NAMED_NORMALIZATIONS["0..255"])
    assert fine.status == OK


def test_float_model_without_images_is_asked_for_its_range(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(classifier())
    asked = ModelQuestions(ForeignFacts(LABELS), DEFAULT_EXECUTION, None, 60)
    last = list(check_model(path, asked))[-1]
    assert last.status == ERROR
    assert last.remedy is not None
    assert "--normalization" in last.remedy
    assert "folder of labelled images" in last.remedy


def test_images_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "photos", 2)
    (folder / "red/0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (found,) = _examine(_carded(tmp_path / "m.tflite"), folder)
    assert "7 of 7 images" in found.detail


@pytest.mark.parametrize("made", ["missing", "empty"])
def test_folder_without_images_is_an_error_that_says_what_it_must_hold(tmp_path: Path, made: str) -> None:
    folder = tmp_path / "photos"
    if made == "empty":
        (folder / "red").mkdir(parents=True)
    path = _carded(tmp_path / "m.tflite")
    loaded = Classifier.from_file(path)
    (found,) = check_labelled(loaded, True, folder, 60)
    assert found.status == ERROR
    assert str(folder) in found.detail


def test_time_that_is_up_leaves_at_least_one_image(tmp_path: Path) -> None:
    path, folder = _carded(tmp_path / "m.tflite"), _folder(tmp_path / "photos")
    loaded = Classifier.from_file(path)
    (found,) = check_labelled(loaded, True, folder, 0)
    assert "1 of 1 images" in found.detail


def test_sample_takes_classes_in_turn_and_files_from_all_over_a_class(tmp_path: Path) -> None:
    sample = sample_images(_folder(tmp_path / "photos", 12), 9)
    assert [image.label for image in sample] == [*sorted(COLORS)] * 2 + ["blue"]
    assert [image.path.name for image in sample if image.label == "blue"] == ["0.png", "4.png", "8.png"]
    with pytest.raises(DatasetError):
        sample_images(tmp_path / "photos" / "red" / "0.png")


def test_folder_with_train_and_test_is_judged_by_the_images_that_a_benchmark_scores(tmp_path: Path) -> None:
    _folder(tmp_path / "photos" / "train", 12, wrong=12)
    _folder(tmp_path / "photos" / "test", 6)
    (found,) = _examine(_carded(tmp_path / "m.tflite"), tmp_path / "photos")
    assert "right on 24 of 24 images" in found.detail
    scored = labelled_images(tmp_path / "photos").images
    assert set(sample_images(tmp_path / "photos")) == set(scored)


def test_sample_leaves_out_what_is_no_image_of_a_class(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "photos", 2)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "0.png").touch()
    (folder / "none of these").mkdir()
    (folder / "round").symlink_to(folder)
    assert {image.label for image in sample_images(folder)} == set(COLORS)


def test_ways_that_are_clearly_worse_are_given_up_and_the_best_goes_on(tmp_path: Path) -> None:
    path, folder = tmp_path / "m.tflite", _folder(tmp_path / "photos", 50)
    path.write_bytes(classifier())
    (found,) = _examine(path, folder, LABELS)
    assert "--normalization 0..255: 200 of 200 images" in found.detail
    assert (
        "--normalization 0..1: 45 of 60 images" in found.detail
    )  # McNemar: 0 to 15, p = 6e-05; 0 to 10, 0.002.


def test_ranges_that_do_equally_well_are_a_warning_with_the_better_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "photos")
    for label in ("grey",):  # Only bright pictures tell the ranges apart.
        for path in (folder / label).iterdir():
            path.unlink()
    model = tmp_path / "m.tflite"
    model.write_bytes(classifier())
    (found,) = _examine(model, folder, LABELS)
    assert found.status == WARNING
    assert found.detail.endswith("too close to be sure")
    assert found.remedy == "Give --normalization 0..255, or try more images"
