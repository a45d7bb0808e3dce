from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.scoring.split import SkippedImage, Split, SplitImage, read_labelled
from edge_classify.edge.errors import DatasetError, ImageError
from edge_classify.edge.labelled import LabelledImage

SPLIT = Split(
    "fotos für alle",
    ("Hund", "猫"),
    (
        SplitImage("Hund/ein bild.png", "a" * 64, "Hund", "train"),
        SplitImage("猫/2.png", "b" * 64, "猫", "validation"),
        SplitImage("猫/3.png", "c" * 64, "猫", "test"),
    ),
    (SkippedImage("Hund/kaputt.jpg", "is damaged or cut off"),),
)


def test_split_written_and_read_is_the_same(tmp_path: Path) -> None:
    SPLIT.write(tmp_path)
    assert Split.read(tmp_path) == SPLIT
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


def test_split_file_has_the_documented_fields(tmp_path: Path) -> None:
    SPLIT.write(tmp_path)
    data = json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))
    assert data["root"] == "fotos für alle" and data["labels"] == ["Hund", "猫"]
    first = {"path": "Hund/ein bild.png", "sha256": "a" * 64, "label": "Hund", "subset": "train"}
    assert data["images"][0] == first
    assert data["skipped"] == [{"path": "Hund/kaputt.jpg", "reason": "is damaged or cut off"}]


def test_split_hash_changes_with_every_image_and_not_with_the_root() -> None:
    assert replace(SPLIT, root="elsewhere", skipped=()).sha256 == SPLIT.sha256
    hashes = {SPLIT.sha256}
    for change in ({"path": "x"}, {"sha256": "d" * 64}, {"label": "猫"}, {"subset": "test"}):
        fields: dict[str, Any] = {**vars(SPLIT.images[0]), **change}
        hashes.add(replace(SPLIT, images=(SplitImage(**fields), *SPLIT.images[1:])).sha256)
    assert len(hashes) == 5


def test_split_counts_every_subset_and_label() -> None:
    assert SPLIT.counts() == {
        "train": {"Hund": 1, "猫": 0},
        "validation": {"Hund": 0, "猫": 1},
        "test": {"Hund": 0, "猫": 1},
    }


def test_evaluation_subset_without_test_images_is_validation() -> None:
    assert SPLIT.evaluation_subset == "test"
    assert replace(SPLIT, images=SPLIT.images[:2]).evaluation_subset == "validation"


def test_subset_lists_files_under_the_root_with_their_hashes() -> None:
    assert SPLIT.subset("test", Path("r")) == [LabelledImage(Path("r/猫/3.png"), "猫", "c" * 64)]


def test_reading_a_folder_without_split_says_that_it_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is not a run of edge-train: it holds no split\.json"):
        Split.read(tmp_path)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b"{}", b'{"root": 1, "labels": [], "images": []}', b"\xff\xfe",
     b'{"root": "r", "labels": ["a"], "images": [{"path": "p"}]}'],
)  # fmt: skip
def test_reading_a_malformed_split_names_the_file(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "split.json").write_bytes(raw)
    with pytest.raises(DatasetError, match=r"split\.json cannot be used"):
        Split.read(tmp_path)


def test_root_is_looked_for_in_the_run_then_where_it_was_then_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run, other = tmp_path / "run", tmp_path / "other"
    other.mkdir()
    split = replace(SPLIT, root="images")
    with pytest.raises(DatasetError, match=r"not in 'images', as seen from here. Remedy"):
        split.find_root(run, None, "Remedy")
    Path("images").mkdir()
    assert split.find_root(run, None, "Remedy") == Path("images")
    (run / "images").mkdir(parents=True)
    assert split.find_root(run, None, "Remedy") == run / "images"
    assert split.find_root(run, other, "Remedy") == other


def test_labelled_image_that_changed_since_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    image = LabelledImage(path, "a", hashlib.sha256(b"one").hexdigest())
    assert read_labelled(image) == b"one"
    path.write_bytes(b"two")
    with pytest.raises(ImageError, match=r"a\.png has changed since training"):
        read_labelled(image)
    assert read_labelled(LabelledImage(path, "a")) == b"two"
    path.unlink()
    with pytest.raises(ImageError, match=r"a\.png cannot be read \(No such file"):
        read_labelled(image)
