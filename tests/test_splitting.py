from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.labelled import LabelledFolder
from edge_classify.train.image_facts import ImageFacts
from edge_classify.train.splitting import Shares, list_images, make_split, twin_groups
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path("root")
unhurried = settings(deadline=None)  # How long an example takes says how busy the machine is.


def _folders(**counts: list[int]) -> LabelledFolder:
    """Class folders with counts[subset][label] images; the labels are c0, c1 and so on."""
    labels = tuple(f"c{i}" for i in range(len(next(iter(counts.values())))))
    subsets = {
        subset: {
            label: [ROOT / subset / label / f"{i}.png" for i in range(number)]
            for label, number in zip(labels, numbers, strict=True)
        }
        for subset, numbers in counts.items()
    }
    return LabelledFolder(ROOT, labels, subsets)


def _split(
    found: LabelledFolder,
    shares: tuple[float, float] = (0.2, 0.2),
    seed: int = 0,
    unreadable: str = "-",
    twins: Sequence[Collection[str]] = (),
    same_file: Collection[str] = (),
    mirrored: Sequence[Collection[str]] = (),
) -> Split:
    """Split `found`; each of `twins` is a set of paths that show the same, `same_file` byte for byte.

    The paths of each set in `mirrored` are mirror images under several labels.
    """
    images = list_images(found)
    facts, groups, together = [], [], []
    for number, path in enumerate(image.path for image in images):
        name = path.relative_to(ROOT).as_posix()
        group = next((-k for k, names in enumerate([*twins, same_file], 1) if name in names), number)
        digest = f"{-1 if name in same_file else number:064x}"
        facts.append(ImageFacts(name, digest, "damaged" if path.name == unreadable else None, "PNG", 64, 64))
        groups.append(group)
        together.append(next((-9 - k for k, names in enumerate(mirrored) if name in names), group))
    return make_split(
        found, images, facts, np.array(together), "as given", Shares(*shares), seed, np.array(groups)
    )


per_class = st.lists(st.integers(3, 60), min_size=2, max_size=5)
fraction = st.floats(0.01, 0.99)


@unhurried
@given(per_class, fraction, fraction | st.just(0.0), st.integers(0, 2**32 - 1))
def test_split_of_any_folder_is_complete_disjoint_and_stratified(
    counts: list[int], validation: float, test: float, seed: int
) -> None:
    found = _folders(all=counts)
    split = _split(found, (validation, test), seed)
    paths = [image.path for image in split.images]
    assert paths == [image.path.relative_to(ROOT).as_posix() for image in list_images(found)]
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


@unhurried
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


@unhurried
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


def test_class_needs_no_image_for_a_subset_that_the_user_gives() -> None:
    with pytest.raises(DatasetError, match=r"Class 'c1' has 1 readable image to split.*at least 2"):
        _split(_folders(train=[9, 1], validation=[2, 2]))
    split = _split(_folders(train=[9, 2], validation=[2, 2]))
    assert Counter(image.subset for image in split.images if image.label == "c1") == {
        "train": 1, "test": 1, "validation": 2,
    }  # fmt: skip


def test_given_validation_folder_without_readable_images_is_refused() -> None:
    with pytest.raises(DatasetError, match="its own validation images, and none that can be used"):
        _split(_folders(train=[5, 5], validation=[0, 0]))


def test_single_class_is_refused_by_name() -> None:
    with pytest.raises(DatasetError, match=r"only one class \(c0\): a classifier needs at least two"):
        list_images(_folders(all=[9]))


def _subset_of(split: Split) -> dict[str, str]:
    return {image.path: image.subset for image in split.images}


@unhurried
@given(
    st.lists(st.integers(6, 40), min_size=2, max_size=4),
    st.lists(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 39)), min_size=2, max_size=8), max_size=5),
    st.integers(0, 2**32 - 1),
)
def test_twins_of_any_label_are_never_divided_and_every_subset_has_every_class(
    counts: list[int], sets: list[set[tuple[int, int]]], seed: int
) -> None:
    taken: set[str] = set()
    twins = []
    for chosen in sets:
        # The first three of each class stay single, so that a split is possible.
        names = {f"all/c{c}/{i}.png" for c, i in chosen if c < len(counts) and 3 <= i < counts[c]} - taken
        taken |= names
        twins.append(names)
    split = _split(_folders(all=counts), seed=seed, twins=twins)
    subset_of = _subset_of(split)
    assert len(subset_of) == sum(counts) and not split.left_out
    assert all(len({subset_of[name] for name in names}) == 1 for names in twins if names)
    assert all(number >= 1 for of_label in split.counts().values() for number in of_label.values())


def test_twins_go_to_training_while_it_lacks_most() -> None:
    # By hand: 20 images, 4 for testing, 3 for validation, 13 for training, to which the 6 twins go.
    twins = {f"all/c0/{i}.png" for i in range(6)}
    split = _split(_folders(all=[20, 20]), twins=[twins])
    assert {_subset_of(split)[name] for name in twins} == {"train"}
    assert {subset: of_label["c0"] for subset, of_label in split.counts().items()} == {
        "train": 13,
        "validation": 3,
        "test": 4,
    }


def test_training_images_with_a_twin_in_the_given_test_or_validation_folder_are_left_out() -> None:
    found = _folders(test=[3, 3], train=[9, 9], validation=[3, 3])
    twins = [
        {"test/c0/0.png", "train/c0/0.png", "validation/c0/0.png"},
        {"validation/c0/1.png", "train/c1/1.png"},
        {"train/c0/2.png", "train/c0/3.png"},
    ]
    split = _split(found, twins=twins)
    assert [(file.path, file.reason) for file in split.left_out] == [
        ("train/c0/0.png", "twin of the test image test/c0/0.png"),
        ("train/c1/1.png", "twin of the validation image validation/c0/1.png"),
        ("validation/c0/0.png", "twin of the test image test/c0/0.png"),
    ]
    assert split.counts() == {
        "train": {"c0": 8, "c1": 8},
        "validation": {"c0": 2, "c1": 3},
        "test": {"c0": 3, "c1": 3},
    }


def test_same_file_under_two_labels_is_left_out_under_both_and_near_duplicates_are_kept() -> None:
    split = _split(
        _folders(all=[9, 9]),
        twins=[{"all/c0/5.png", "all/c1/5.png"}],
        same_file={"all/c0/1.png", "all/c1/2.png"},
    )
    reason = "the same file has several labels: c0, c1"
    assert [(file.path, file.reason) for file in split.left_out] == [
        ("all/c0/1.png", reason),
        ("all/c1/2.png", reason),
    ]
    subset_of = _subset_of(split)
    assert len(subset_of) == 16 and subset_of["all/c0/5.png"] == subset_of["all/c1/5.png"]


def test_same_file_twice_under_one_label_is_kept_on_one_side() -> None:
    same = {"all/c0/1.png", "all/c0/2.png"}
    split = _split(_folders(all=[9, 9]), same_file=same)
    assert not split.left_out and len({_subset_of(split)[name] for name in same}) == 1


def test_given_test_folder_stays_whole_whatever_is_wrong_with_it() -> None:
    found = _folders(test=[3, 3], train=[9, 9])
    split = _split(found, same_file={"test/c0/0.png", "test/c1/0.png", "train/c1/4.png"})
    assert [file.path for file in split.left_out] == ["train/c1/4.png"]
    assert split.counts()["test"] == {"c0": 3, "c1": 3}


def test_class_of_which_only_twins_exist_is_refused_by_name() -> None:
    twins = {f"all/c1/{i}.png" for i in range(9)}
    with pytest.raises(
        DatasetError, match=r"Class 'c1' has 9 images to split.*near-duplicates.* form 1 group,"
    ):
        _split(_folders(all=[9, 9]), twins=[twins])


def test_class_whose_images_were_all_left_out_is_refused_with_their_number() -> None:
    twins = [{f"test/c1/{i}.png", f"train/c1/{i}.png"} for i in range(4)]
    with pytest.raises(DatasetError, match=r"Class 'c1' has 0 readable images \(4 more left out"):
        _split(_folders(test=[4, 4], train=[4, 4]), twins=twins)


def test_split_with_left_out_files_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    split = _split(_folders(all=[9, 9]), same_file={"all/c0/1.png", "all/c1/2.png"}, unreadable="8.png")
    split.write(tmp_path)
    assert Split.read(tmp_path) == split and len(split.left_out) == len(split.skipped) == 2


def test_twin_groups_are_the_units_of_the_given_rows_and_of_no_others() -> None:
    # Row 4 is a twin of row 1, but not asked for; rows 0 and 5 are twins of each other.
    groups = np.array([7, 3, 8, 2, 3, 7])
    assert twin_groups(groups, [0, 1, 2, 3, 5]) == [[0, 5], [1], [2], [3]]
    assert twin_groups(groups, [5, 4, 1]) == [[5], [4, 1]] and twin_groups(groups, []) == []


def test_mirror_images_under_two_labels_share_a_subset_and_none_is_left_out() -> None:
    pairs = [{f"all/c0/{i}.png", f"all/c1/{i}.png"} for i in range(10)]
    split = _split(_folders(all=[10, 10]), mirrored=pairs)
    assert not split.left_out and len(split.images) == 20
    subset_of = _subset_of(split)
    assert all(len({subset_of[name] for name in pair}) == 1 for pair in pairs)
    given = _split(_folders(test=[2, 2], train=[8, 8]), mirrored=[{"test/c0/0.png", "train/c1/0.png"}])
    assert not given.left_out and _subset_of(given)["train/c1/0.png"] != "test"
