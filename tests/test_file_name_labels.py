"""Classes in the names of files, as people and tools number them; and names that hold none."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.file_name_labels import PLACES, Place, classes_in_names, label_in_name
from edge_classify.train.cli import main as train

from .support.labelled_folders import found, scan, touch


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cat.0.jpg", "cat"),  # Kaggle's Dogs vs. Cats
        ("dog_12.png", "dog"),
        ("cat-001.jpg", "cat"),
        ("cat (1).jpg", "cat"),  # Windows numbers files so.
        ("cat1.jpg", "cat"),
        ("great_pyrenees_102.jpg", "great_pyrenees"),  # Oxford's pets
        ("red apple 3.jpg", "red apple"),
        ("cat_IMG_0001.jpg", "cat"),
        ("cat_3f2a9c.jpg", "cat"),
        ("A12.jpg", "A"),
        ("7_0012.png", "7"),
        ("cafe\u0301 1.jpg", "caf\u00e9"),
        ("IMG_0001.jpg", None),
        ("DSC01234.JPG", None),
        ("frame_12.png", None),
        ("WhatsApp Image 2023-05-01.jpeg", None),
        ("download (3).jpg", None),
        ("0001_cat.jpg", None),
    ],
)
def test_words_before_the_number_are_the_class_if_no_camera_wrote_them(name: str, label: str | None) -> None:
    assert label_in_name(name) == label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("0001_cat.jpg", "cat"),
        ("img-12-great dane.png", "great dane"),
        ("12cat.jpg", "cat"),
        ("cat.0.jpg", None),
    ],
)
def test_words_after_the_last_number_are_the_class_at_the_end(name: str, label: str | None) -> None:
    assert label_in_name(name, "end") == label


@pytest.mark.parametrize(
    ("names", "place", "classes"),
    [
        (("cat.0", "cat.1", "dog.0", "dog.1"), "start", ["cat", "dog"]),
        (("0_cat", "1_cat", "2_dog", "3_dog"), "end", ["cat", "dog"]),
        (("IMG_1", "IMG_2", "DSC_1", "DSC_2"), "start", []),
        (("train_1", "train_2", "test_1", "test_2"), "start", []),
        (("2023-01", "2023-02", "2024-01", "2024-02"), "start", []),
        (("cat.0", "cat.1", "holiday", "beach", "sea", "1"), "start", []),
    ],
)
def test_classes_are_seen_in_names_only_where_most_names_repeat_them(
    names: tuple[str, ...], place: Place, classes: list[str]
) -> None:
    assert classes_in_names([f"{name}.jpg" for name in names], place) == classes


def test_option_has_the_places_that_are_read() -> None:
    option = next(p for p in train.params if p.name == "labels_from_names")
    assert isinstance(option.type, click.Choice) and tuple(option.type.choices) == PLACES


def test_names_are_pointed_out_with_what_to_type_and_then_read(tmp_path: Path) -> None:
    data = touch(tmp_path, "cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg")
    with pytest.raises(
        DatasetError, match=r"begin with cat, dog: .* give --labels-from-names start, or make"
    ):
        scan(data)
    assert found(data, names="start") == {
        "all": {"cat": ["cat.0.jpg", "cat.1.jpg"], "dog": ["dog.0.jpg", "dog.1.jpg"]}
    }
    assert scan(data, names="start").remarks == (
        "Classes from the start of the file names: cat (2), dog (2)",
    )


def test_folder_of_unnamed_pictures_beside_named_ones_is_left_out_and_counted(tmp_path: Path) -> None:
    """Kaggle's Dogs vs. Cats: train/cat.0.jpg, test1/1.jpg, sampleSubmission.csv."""
    data = touch(tmp_path, "train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "train/dog.1.jpg")
    touch(data, "test1/1.jpg", "test1/2.jpg", "sampleSubmission.csv")
    with pytest.raises(
        DatasetError, match=r"test1, train, .*subsets, not classes\. .*--labels-from-names start"
    ):
        scan(data)
    folder = scan(data, names="start")
    assert folder.labels == ("cat", "dog") and list(folder.subsets) == ["all"]
    assert "Pictures whose names hold no class, left out: 2, such as test1/1.jpg" in folder.remarks


def test_names_in_folders_of_subsets_keep_the_subsets(tmp_path: Path) -> None:
    names = [f"{part}/{label}_{n}.jpg" for part in ("train", "val") for label in ("a", "b") for n in (1, 2)]
    assert list(found(touch(tmp_path, *names), names="start")) == ["train", "validation"]


@pytest.mark.parametrize(
    "names",
    [("IMG_1.jpg", "IMG_2.jpg"), ("train_1.jpg", "test_1.jpg"), ("sea.jpg", "beach.jpg", "hill.jpg")],
)
def test_names_without_classes_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match=r"name no classes: .* Give --image-labels FILE"):
        scan(touch(tmp_path, *names), names="start")


def test_table_and_names_like_parts_speak_against_folders_as_classes(tmp_path: Path) -> None:
    data = touch(tmp_path, "images_001/1.jpg", "images_002/2.jpg", "labels.csv")
    said = scan(data).remarks
    assert said[0] == "The folders images_001, images_002 are taken as classes, and look like parts of one"
    assert said[1].endswith(f"labels.csv is not read, since folders name the classes: give --image-labels "
                            f"{data / 'labels.csv'} if it is right")  # fmt: skip
