"""The built-in data sets, written out as class folders."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.labelled import scan_class_folders
from edge_classify.train.built_in import CIFAR10_LABELS, write_built_in
from PIL import Image


def test_digits_are_1797_grey_pictures_of_ten_classes(tmp_path: Path) -> None:
    write_built_in("digits", tmp_path)
    found = scan_class_folders(tmp_path)
    assert found.labels == tuple("0123456789")
    # UCI's "Optical Recognition of Handwritten Digits", test set: 1,797 pictures, 174 to 183 a class.
    counts = [len(found.subsets["all"][label]) for label in found.labels]
    assert sum(counts) == 1797 and min(counts) == 174 and max(counts) == 183
    with Image.open(found.subsets["all"]["7"][0]) as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")
        assert np.asarray(picture).max() == 255


def _pictures(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(10), per_class)[:, None].astype(np.uint8)
    return rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8), labels


def test_cifar10_keeps_its_own_test_set_and_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = _pictures(3, 0), _pictures(2, 1)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: (train, test))
    write_built_in("cifar10", tmp_path)
    found = scan_class_folders(tmp_path)
    assert found.labels == CIFAR10_LABELS
    assert {name: sum(map(len, classes.values())) for name, classes in found.subsets.items()} == {
        "train": 30,
        "test": 20,
    }
    with Image.open(tmp_path / "test" / "automobile" / "00002.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), test[0][2])


def test_cifar10_without_network_says_so_and_names_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise Exception("URL fetch failure on https://example.org: None -- no network")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", refuse)
    with pytest.raises(DatasetError, match=r"cannot be downloaded .*no network.* digits"):
        write_built_in("cifar10", tmp_path)
