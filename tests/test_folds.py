"""Every image is tested exactly once, with its twins, by a model that was trained without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.labelled import LabelledFolder
from edge_classify.train.dataset import AuditedData, PreparedData, split_audited
from edge_classify.train.findings import Audit
from edge_classify.train.folds import choose_folds, plan_folds
from edge_classify.train.image_facts import ImageFacts
from edge_classify.train.pixels import DecodedImages
from edge_classify.train.splitting import Shares, list_images
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.train_options import make_options

ROOT = Path("root")
unhurried = settings(deadline=None)  # How long an example takes says how busy the machine is.


def _audited(
    counts: dict[str, list[int]],
    folds: int | None = 5,
    seed: int = 0,
    twins: Sequence[Collection[str]] = (),
    unreadable: Collection[str] = (),
    test: float = 0.2,
) -> AuditedData:
    """Return counts[subset][label] images; each of `twins` is a set of paths that show the same."""
    labels = tuple(f"c{i}" for i in range(len(next(iter(counts.values())))))
    subsets = {
        subset: {
            label: [ROOT / subset / label / f"{i}.png" for i in range(number)]
            for label, number in zip(labels, numbers, strict=True)
        }
        for subset, numbers in counts.items()
    }
    found = LabelledFolder(ROOT, labels, subsets)
    images = list_images(found)
    names = [image.path.relative_to(ROOT).as_posix() for image in images]
    groups = [
        next((-k for k, paths in enumerate(twins, 1) if name in paths), number)
        for number, name in enumerate(names)
    ]
    facts = tuple(
        ImageFacts(name, f"{number:064x}", "is damaged" if name in unreadable else None, "PNG", 64, 64)
        for number, name in enumerate(names)
    )
    audit = Audit(len(images), {}, (), (), (), (), (), (), (), True, np.array(groups), np.array(groups))
    options = make_options(folds=folds, seed=seed, test_split=test)
    return AuditedData(
        "set", "root", found, images, DecodedImages({}, facts), audit, Shares(0.2, test), options
    )


def _plan(*args: object, **more: object) -> tuple[AuditedData, list[PreparedData]]:
    audited = _audited(*args, **more)  # type: ignore[arg-type]
    return audited, plan_folds(audited, split_audited(audited))


per_class = st.lists(st.integers(5, 40), min_size=2, max_size=4)


@unhurried
@given(per_class, st.integers(3, 7), st.integers(0, 2**32 - 1), st.data())
def test_every_image_is_tested_once_and_never_by_a_model_that_saw_it_or_a_twin(
    counts: list[int], folds: int, seed: int, data: st.DataObject
) -> None:
    # Pairs of twins among the first images of the first class; the others stay enough for any fold.
    pairs = data.draw(st.integers(0, (counts[0] - 3) // 2))
    twins = [{f"all/c0/{2 * i}.png", f"all/c0/{2 * i + 1}.png"} for i in range(pairs)]
    audited, planned = _plan({"all": counts}, folds, seed, twins)
    assert len(planned) == folds
    tested = np.concatenate([fold.rows["test"] for fold in planned])
    assert sorted(tested.tolist()) == list(range(sum(counts)))
    for fold in planned:
        assert sorted(np.concatenate(list(fold.rows.values())).tolist()) == list(range(sum(counts)))
        groups = [set(audited.audit.groups[rows].tolist()) for rows in fold.rows.values()]
        assert all(not one & other for i, one in enumerate(groups) for other in groups[:i])
        assert all(fold.split.counts()[s][label] for s in ("train", "validation") for label in ("c0", "c1"))


@unhurried
@given(per_class, st.integers(3, 7), st.integers(0, 2**32 - 1))
def test_folds_differ_in_at_most_one_image_of_each_class(counts: list[int], folds: int, seed: int) -> None:
    _, planned = _plan({"all": counts}, folds, seed)
    for number in range(len(counts)):
        sizes = [fold.split.counts()["test"][f"c{number}"] for fold in planned]
        assert max(sizes) - min(sizes) <= 1
    totals = [len(fold.rows["test"]) for fold in planned]
    assert max(totals) - min(totals) <= 1


def test_model_of_a_fold_has_as_many_images_as_the_model_that_ships() -> None:
    # By hand for 30 of each class: 6 are tested, and a fifth of the other 24 (4.8, so 5) validate.
    audited, planned = _plan({"all": [30, 30]})
    for one in [split_audited(audited), *planned]:
        assert [len(one.rows[subset]) for subset in ("train", "validation", "test")] == [38, 10, 12]


def test_same_seed_gives_the_same_folds_and_another_seed_others() -> None:
    def tested(seed: int) -> list[list[int]]:
        return [fold.rows["test"].tolist() for fold in _plan({"all": [20, 30]}, seed=seed)[1]]

    assert tested(1) == tested(1) != tested(2)


def test_users_test_images_are_in_no_fold_and_their_validation_images_validate_each() -> None:
    counts = {"train": [20, 25], "validation": [4, 4], "test": [6, 6]}
    audited, planned = _plan(counts, 5)
    of = {
        subset: {i for i, image in enumerate(audited.images) if image.subset == subset} for subset in counts
    }
    tested = np.concatenate([fold.rows["test"] for fold in planned])
    assert sorted(tested.tolist()) == sorted(of["train"])
    for fold in planned:
        assert set(fold.rows["validation"].tolist()) == of["validation"]
        assert set(fold.rows["train"].tolist()) == of["train"] - set(fold.rows["test"].tolist())
        assert fold.pool is not None and set(fold.pool.tolist()) == of["train"] | of["validation"]


def test_images_that_are_not_used_for_training_are_in_no_fold() -> None:
    # A twin of the user's test image would show it to the training, and a damaged file shows nothing.
    twins = [{"train/c0/3.png", "test/c0/0.png"}]
    audited, planned = _plan(
        {"train": [20, 20], "test": [5, 5]}, 5, twins=twins, unreadable={"train/c1/7.png"}
    )
    used = {
        path for fold in planned for path in np.array(fold.paths)[np.concatenate(list(fold.rows.values()))]
    }
    assert used == {
        image.path.relative_to(ROOT).as_posix() for image in audited.images if image.subset == "train"
    } - {"train/c0/3.png", "train/c1/7.png"}
    assert all(fold.split.left_out == () for fold in planned)


@pytest.mark.parametrize(
    ("counts", "test", "folds"),
    [
        ({"all": [250, 249]}, 0.1, 5),
        ({"all": [250, 250]}, 0.1, 0),
        ({"all": [200, 196]}, 0.25, 5),  # 50 and 49 test images.
        ({"all": [200, 200]}, 0.25, 0),  # 50 and 50.
        ({"all": [20, 20]}, 0.0, 5),
        ({"train": [20, 20], "test": [3, 3]}, 0.2, 0),
        ({"train": [20, 20], "validation": [3, 3]}, 0.2, 5),
    ],
)
def test_default_depends_on_the_numbers_of_images_alone(
    counts: dict[str, list[int]], test: float, folds: int
) -> None:
    audited = _audited(counts, None, test=test)
    assert choose_folds(None, split_audited(audited), "test" in counts) == folds


def test_typed_number_holds_for_any_set_and_one_fold_is_none() -> None:
    data = split_audited(_audited({"all": [300, 300]}))
    assert [choose_folds(typed, data, own_test=True) for typed in (0, 1, 2, 7)] == [0, 0, 2, 7]


def test_default_of_a_set_that_cannot_be_divided_is_none_and_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Nine pictures are four groups of twins: enough for one split, not for five.
    twins = [{"all/c0/0.png", *(f"all/c1/{i}.png" for i in (0, 1, 2))},
             {"all/c0/2.png", *(f"all/c1/{i}.png" for i in (4, 5))}]  # fmt: skip
    assert _plan({"all": [3, 6]}, None, twins=twins)[1] == []
    said = "5 folds need at least 5 pictures to test that do not show the same, and there are 4"
    assert f"No cross-validation: {said}" in capsys.readouterr().err
    with pytest.raises(DatasetError, match=said):
        _plan({"all": [3, 6]}, 5, twins=twins)


def test_more_folds_than_pictures_that_differ_are_refused_with_their_number() -> None:
    twins = [{"all/c0/0.png", "all/c0/1.png"}]
    with pytest.raises(
        DatasetError, match=r"40 folds need at least 40 .* there are 19. Give --folds a lower"
    ):
        _plan({"all": [10, 10]}, 40, twins=twins)


def test_two_folds_of_a_class_with_three_pictures_leave_too_few_and_three_are_enough() -> None:
    with pytest.raises(
        DatasetError, match=r"'c0' has 3 pictures .* of 2 folds would test 2 of them: too few"
    ):
        _plan({"all": [3, 30]}, 2)
    _, planned = _plan({"all": [3, 30]}, 3)
    assert Counter(fold.split.counts()["test"]["c0"] for fold in planned) == {1: 3}
