from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from edge_classify.benchmarks.labelled import ClassFolders
from edge_classify.benchmarks.split import SkippedImage, Split
from edge_classify.edge.errors import DatasetError
from edge_classify.train.splitting import list_images, make_split
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path("root")


def _folders(**counts: list[int]) -> ClassFolders:
    """Class folders with counts[subset][label] images; the labels are c0, c1 and so on."""
    labels = tuple(f"c{i}" for i in range(len(next(iter(counts.values())))))
    subsets = {
        subset: {
            label: [ROOT / subset / label / f"{i}.png" for i in range(number)]
            for label, number in zip(labels, numbers, strict=True)
        }
        for subset, numbers in counts.items()
    }
    return ClassFolders(ROOT, labels, subsets)


def _split(
    found: ClassFolders, fractions: tuple[float, float] = (0.2, 0.2), seed: int = 0, unreadable: str = "-"
) -> Split:
    images = list_images(found)
    hashes = [None if path.name == unreadable else "0" * 64 for path, _, _ in images]
    skipped = [
        SkippedImage(path.relative_to(ROOT).as_posix(), "damaged")
        for (path, _, _), digest in zip(images, hashes, strict=True)
        if digest is None
    ]
    return make_split(found, images, hashes, skipped, "as given", fractions, seed)


per_class = st.lists(st.integers(3, 60), min_size=2, max_size=5)
fraction = st.floats(0.01, 0.99)


@given(per_class, fraction, fraction | st.just(0.0), st.integers(0, 2**32 - 1))
def test_split_of_any_folder_is_complete_disjoint_and_stratified(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    found = _folders(all=counts)
    split = _split(found, (validation, test), seed)
    paths = [image.path for image in split.images]
    assert paths == [path.relative_to(ROOT).as_posix() for path, _, _ in list_images(found)]
    got = split.counts()
    for label, count in zip(found.labels, counts, strict=True):
        in_test, in_validation, in_train = (got[s][label] for s in ("test", "validation", "train"))
        assert in_test + in_validation + in_train == count
        assert in_train >= 1 and in_validation >= 1 and (in_test >= 1) == (test > 0)
        # Within one image of the fraction, but where that would leave another subset empty.
        assert abs(in_test - count * test) <= 1 or in_test == count - 2
        rest = count - in_test
        assert abs(in_validation - rest * validation) <= 1 or in_validation == rest - 1


def test_split_with_default_fractions_has_the_expected_sizes() -> None:
    # By hand for 30 images: 6 for testing, a fifth of the other 24 (4.8, so 5) for validation.
    got = _split(_folders(all=[30, 10])).counts()
    assert got == {
        "train": {"c0": 19, "c1": 6},
        "validation": {"c0": 5, "c1": 2},
        "test": {"c0": 6, "c1": 2},
    }


@given(per_class, st.integers(0, 2**32 - 1))
def test_split_with_the_same_seed_is_the_same(counts: list[int], seed: int) -> None:
    assert _split(_folders(all=counts), seed=seed) == _split(_folders(all=counts), seed=seed)


def test_split_with_another_seed_differs() -> None:
    splits = {_split(_folders(all=[20, 20]), seed=seed).sha256 for seed in range(5)}
    assert len(splits) == 5


def test_split_of_two_classes_with_equal_counts_draws_each_apart() -> None:
    chosen: dict[str, list[str]] = {"c0": [], "c1": []}
    for image in _split(_folders(all=[40, 40])).images:
        if image.subset == "test":
            chosen[image.label].append(Path(image.path).name)
    assert chosen["c0"] != chosen["c1"]


@given(per_class, st.integers(0, 2**32 - 1), st.booleans())
def test_given_test_and_validation_folders_stay_whole_and_alone(
    counts: list[int], seed: int, with_validation: bool
) -> None:
    test = [n // 3 for n in counts]
    validation = {"validation": [2] * len(counts)} if with_validation else {}
    split = _split(_folders(test=test, train=counts, **validation), seed=seed)
    for image in split.images:
        folder = image.path.partition("/")[0]
        if folder == "train":
            assert image.subset == "train" or (image.subset == "validation" and not with_validation)
        else:
            assert image.subset == folder
    assert Counter(i.subset for i in split.images)["test"] == sum(test)


def test_split_leaves_out_unreadable_images_and_lists_them() -> None:
    split = _split(_folders(all=[10, 10]), unreadable="3.png")
    assert len(split.images) == 18 and all(not image.path.endswith("/3.png") for image in split.images)
    assert [file.path for file in split.skipped] == ["all/c0/3.png", "all/c1/3.png"]


def test_given_test_folder_without_readable_images_leaves_no_test_set() -> None:
    split = _split(_folders(test=[1, 1], train=[5, 5], validation=[2, 2]), unreadable="9.png")
    assert split.evaluation_subset == "test"
    nothing = _folders(test=[0, 0], train=[5, 5], validation=[2, 2])
    assert _split(nothing).evaluation_subset == "validation"


@pytest.mark.parametrize(
    ("count", "fractions", "needed"), [(2, (0.2, 0.2), 3), (1, (0.2, 0.0), 2), (0, (0.2, 0.2), 3)]
)
def test_class_with_too_few_images_is_named_with_the_number_it_needs(
    count: int, fractions: tuple[float, float], needed: int
) -> None:
    with pytest.raises(DatasetError, match=rf"Class 'c1' has {count} readable.*at least {needed}"):
        _split(_folders(all=[9, count]), fractions)
    _split(_folders(all=[9, needed]), fractions)


def test_given_validation_folder_without_readable_images_is_refused() -> None:
    with pytest.raises(DatasetError, match="folder for validation, and no readable images"):
        _split(_folders(train=[5, 5], validation=[0, 0]))


def test_single_class_is_refused_by_name() -> None:
    with pytest.raises(DatasetError, match=r"only one class \(c0\): a classifier needs at least two"):
        list_images(_folders(all=[9]))
