"""The images that int8 is calibrated with."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.convert.calibration import folder_images, load_calibration, order_by_turns, usual_count
from edge_classify.edge.card import InputSpec, ModelCard
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import ConversionError, DatasetError
from edge_classify.edge.labelled import LabelledImage
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from .support.conversion import convert


@given(st.lists(st.integers(0, 12), min_size=2, max_size=6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_calibration_images_are_spread_over_the_classes(counts: list[int], wanted: int, seed: int) -> None:
    labels = [f"class {i}" for i in range(len(counts))]
    images = [
        LabelledImage(Path(f"{label}/{n}.png"), label)
        for label, count in zip(labels, counts, strict=True)
        for n in range(count)
    ]
    chosen = order_by_turns(images, labels, seed)[:wanted]
    assert len(chosen) == len(set(chosen)) == min(wanted, sum(counts))
    per_class = Counter(image.label for image in chosen)
    fair = max(per_class.values(), default=0)
    for label, available in zip(labels, counts, strict=True):
        assert per_class[label] >= min(available, fair - 1)
    assert chosen == order_by_turns(images, labels, seed)[:wanted]


def test_calibration_set_holds_a_zero_and_a_255_and_no_unreadable_image(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    card = ModelCard.from_json((run / "cnn" / "card.json").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"")
    good = Split.read(run).subset("train", shapes)[:3]
    bad = LabelledImage(tmp_path / "bad.png", "blue 3")
    calibration = load_calibration([bad, *good], 2, card)
    assert calibration.info.images == 2
    assert [file.path for file in calibration.skipped] == [str(bad.path)]
    assert sum(calibration.info.per_class.values()) == 2
    first, second = calibration.read()
    assert (first.min(), first.max()) == (0, 255)
    assert calibration.info.sha256 == hashlib.sha256(first.tobytes() + second.tobytes()).hexdigest()
    with pytest.raises(ConversionError, match="None of the 1 training images"):
        load_calibration([bad], 1, card)


CARD = ModelCard("net", ("cat", "dog", "owl"), InputSpec(8, 8, "float32"))


def write_pictures(folder: Path, colours: list[int]) -> list[LabelledImage]:
    """Write pictures of one brightness each, with a mark so that they are not of one colour."""
    folder.mkdir(parents=True)
    for number, colour in enumerate(colours):
        picture = Image.new("RGB", (8, 8), (colour,) * 3)
        picture.putpixel((number % 8, 1), (255 - colour, sum(folder.name.encode()) % 256, 0))
        picture.save(folder / f"{number}.png")
    return folder_images(folder)


def test_copies_are_left_out_and_counted_in_the_card(tmp_path: Path) -> None:
    images = write_pictures(tmp_path / "cat", list(range(60)))
    shutil.copy(images[0].path, tmp_path / "cat" / "copy.png")
    copy = LabelledImage(tmp_path / "cat" / "copy.png", "cat")
    found = load_calibration([images[0], copy, *images[1:]], 100, CARD)
    assert (found.info.images, found.info.copies) == (60, 1)
    assert copy not in found.images
    assert "1 calibration images are copies of others, and were left out" in found.warnings


@pytest.mark.parametrize(
    ("labels", "count", "told"),
    [
        (("cat", "dog"), 30, "no calibration image is of 1 classes: owl"),
        (("cat",), 2, "2 calibration images cannot show all 3 classes"),
        (
            ("cat", "dog", "owl"),
            5,
            "calibrated with only 15 different images: ranges may come out too narrow",
        ),
    ],
)
def test_calibration_that_shows_too_little_is_warned_of(
    labels: tuple[str, ...], count: int, told: str, tmp_path: Path
) -> None:
    images = [i for label in labels for i in write_pictures(tmp_path / label, list(range(count)))]
    assert any(told in warning for warning in load_calibration(images, 100, CARD).warnings)


def test_calibration_images_of_one_colour_are_warned_of(tmp_path: Path) -> None:
    write_pictures(tmp_path / "cat", [1, 2])
    Image.new("RGB", (9, 9), (7, 7, 7)).save(tmp_path / "cat" / "blank.png")
    warnings = load_calibration(folder_images(tmp_path / "cat"), 100, CARD).warnings
    assert any("1 of 3 calibration images have one colour only" in warning for warning in warnings)


def test_many_classes_are_calibrated_with_two_images_of_each() -> None:
    assert [usual_count(classes) for classes in (2, 50, 51, 1000)] == [100, 100, 102, 2000]


def test_good_calibration_is_not_warned_of(tmp_path: Path) -> None:
    images = [i for label in CARD.labels for i in write_pictures(tmp_path / label, list(range(20)))]
    assert load_calibration(images, 100, CARD).warnings == ()


def test_folder_without_known_classes_calibrates_without_a_word_about_classes_and_without_its_name(
    tmp_path: Path,
) -> None:
    write_pictures(tmp_path / "holiday" / "2025", list(range(60)))
    found = load_calibration(folder_images(tmp_path / "holiday"), 50, CARD, "images of --calibration")
    assert found.warnings == ()
    assert (found.info.per_class, found.info.source) == ({"(no class)": 50}, "images of --calibration")


def test_calibration_folder_without_images_is_refused(tmp_path: Path) -> None:
    for folder, told in ((tmp_path, "holds no images"), (tmp_path / "no", "no such folder")):
        with pytest.raises(DatasetError, match=rf"--calibration .*{told}"):
            folder_images(folder)


def test_calibration_option_replaces_the_training_images_of_a_run(run: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "others", list(range(55)))
    options = ("--variant", "int8", "--calibration", tmp_path / "others", "--max-drop", "100")
    result = convert(run / "cnn", *options, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    card = Classifier.from_file(tmp_path / "out" / "cnn_int8.tflite").file.card
    assert card is not None and card.conversion is not None and card.conversion.calibration is not None
    info = card.conversion.calibration
    assert (info.source, info.images, info.per_class) == ("images of --calibration", 55, {"(no class)": 55})
