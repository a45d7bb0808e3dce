from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.train import activations, frozen
from edge_classify.train.activations import Cut, cut_activations, refit_activations
from edge_classify.train.dataset import Examples
from edge_classify.train.hyperparameters import Hyperparameters, choose_hyperparameters
from edge_classify.train.models import Built
from edge_classify.train.phases import Phase
from edge_classify.train.task import Task
from edge_classify.train.views import Views, plan_views
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from .support.tiny_network import TINY_LAYERS, tiny_built, tiny_task
from .support.train_options import make_options

HEAD = Phase(1, 3, 0.01, len(TINY_LAYERS), False)
TAIL = Phase(2, 3, 0.01, TINY_LAYERS.index("conv_2"), False)


@pytest.fixture(scope="module")
def built() -> Built:
    return tiny_built()


@pytest.fixture
def task(tmp_path: Path, built: Built) -> Task:
    return tiny_task(tmp_path, built)


def _cut(task: Task, phase: Phase = HEAD, **changes: Any) -> Cut | None:
    chosen = replace(
        task.hyperparameters, **{k: v for k, v in changes.items() if k in task.hyperparameters.to_json()}
    )
    others = {name: changes[name] for name in ("built", "train", "seed") if name in changes}
    return cut_activations(replace(task, hyperparameters=chosen, **others), phase)


def _features(built: Built, examples: Examples) -> NDArray[np.float32]:
    assert built.base is not None
    pixels = examples.pixels[examples.rows].astype(np.float32)
    return np.asarray(built.base(pixels / 127.5 - 1, training=False))


def _view(cut: Cut, number: int) -> NDArray[np.float32]:
    table = cut.table
    return np.asarray(table.values[table.place[number % table.views, np.arange(len(table.truth))]])


def test_activations_of_each_image_itself_are_those_of_keras(task: Task) -> None:
    cut = _cut(task)
    assert cut is not None and cut.back is None
    assert np.allclose(_view(cut, 0), _features(task.built, task.train), atol=1e-4)
    assert np.allclose(cut.validation.values[cut.validation.place[0]], _features(task.built, task.validation),
                       atol=1e-4)  # fmt: skip
    assert np.array_equal(cut.table.truth, task.train.truth)
    assert np.array_equal(cut.validation.truth, task.validation.truth)


def test_activations_at_a_cut_lead_to_the_features_by_what_lies_behind(task: Task) -> None:
    cut = _cut(task, TAIL)
    assert cut is not None and cut.back is not None
    assert np.allclose(cut.back(_view(cut, 0)), _features(task.built, task.train), atol=1e-4)


def test_later_views_are_other_pictures_of_the_same_image(task: Task) -> None:
    cut = _cut(task, views=3)
    assert cut is not None
    first, second, third = (_view(cut, number) for number in range(3))
    spread = np.abs(first[:, None] - first[None]).mean()
    for one, other in ((first, second), (first, third), (second, third)):
        assert (np.abs(one - other).max(1) > 1e-4).all()
        assert np.abs(one - other).mean() < spread


def test_repeated_images_of_a_small_class_get_stronger_views(task: Task) -> None:
    cut = _cut(task, imbalance="oversample", views=1)
    assert cut is not None
    # 12, 10 and 4 images: each of the last is drawn three times.
    assert set(cut.table.views[task.train.truth == 2]) == {3}
    assert set(cut.table.views[task.train.truth == 0]) == {1}
    small = task.train.truth == 2
    assert (np.abs(_view(cut, 0) - _view(cut, 1))[small].max(1) > 1e-4).all()


def test_activations_are_computed_once_and_then_read(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _cut(task)
    monkeypatch.setattr(activations, "run_front", None)
    again = _cut(task)
    assert first is not None and again is not None
    assert np.array_equal(_view(first, 1), _view(again, 1))


def _other_pixels(task: Task) -> Examples:
    pixels = task.train.pixels.copy()
    pixels[task.train.rows[3], 2, 2, 0] ^= 1
    return replace(task.train, pixels=pixels)


def test_activations_are_computed_again_when_anything_that_decides_them_changes(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _cut(task) is not None
    other = tiny_built()
    assert other.base is not None
    kernel = other.base.get_layer("conv").kernel
    kernel.assign(np.asarray(kernel) * 1.01)
    computed = []
    monkeypatch.setattr(activations, "run_front", lambda *_: computed.append(1))
    changes: list[dict[str, Any]] = [
        {"train": _other_pixels(task)},
        {"built": other},
        {"seed": 1},
        {"augment": ("flip",)},
        {"views": 3},
        {"phase": TAIL},
    ]
    for number, change in enumerate(changes, 1):
        _cut(task, **change)
        assert len(computed) == number, change
    _cut(task)
    assert len(computed) == len(changes)


def test_activations_of_the_same_seed_are_the_same_in_another_cache(task: Task, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = _cut(task), _cut(tiny_task(tmp_path / "other", task.built))
    assert one is not None and other is not None
    assert np.array_equal(one.table.values, other.table.values)


def test_too_little_room_for_all_views_makes_fewer_and_says_so(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 26 images for training and 13 for validation, 12 features of 4 bytes each.
    monkeypatch.setattr(activations, "BUDGET", (2 * 26 + 13) * 12 * 4)
    cut = _cut(task, views=3)
    assert cut is not None and set(cut.table.views) == {2}
    assert "52 augmented views instead of 78" in capsys.readouterr().err


def test_too_little_room_for_one_view_gives_none_and_a_sentence(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(activations, "BUDGET", (26 + 13) * 12 * 4 - 1)
    assert _cut(task) is None
    said = capsys.readouterr().err
    assert "tiny: the frozen part is run in every epoch" in said and "allowed" in said


def test_activations_that_are_cached_are_used_though_the_disk_is_full_now(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _cut(task)

    class Full:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    again = _cut(task)
    assert first is not None and again is not None
    assert np.array_equal(first.table.values, again.table.values)
    assert _cut(task, seed=1) is None


def test_network_that_is_trained_whole_has_no_activations_to_cache(task: Task) -> None:
    assert _cut(task, replace(TAIL, first_trained=0)) is None
    assert _cut(task, built=replace(task.built, pretrained=False)) is None
    # Pieces of pictures are exchanged before the network.
    assert _cut(task, mix="cutmix") is None


counts_of_views = st.lists(st.integers(1, 5), min_size=1, max_size=20)


@given(counts_of_views)
def test_places_of_any_views_are_each_row_once_in_the_order_of_computation(counts: list[int]) -> None:
    views = Views(np.array(counts, np.int64))
    places = views.places()
    assert places.shape == (max(counts), len(counts))
    rows = [places[view, image] for view in range(max(counts)) for image in views.rows(view)]
    assert rows == list(range(views.total)) and views.total == sum(counts)
    assert (places >= 0).sum(0).tolist() == counts


def _choose(**changes: Any) -> Hyperparameters:
    return choose_hyperparameters("mobilenet_v2", make_options(weights="imagenet", **changes), [30, 30, 3])


TRUTH = np.repeat(np.arange(3), [30, 30, 3])


def test_plan_has_as_many_views_as_asked_for_but_not_more_than_epochs() -> None:
    assert set(plan_views(TRUTH, 3, _choose(views=4, imbalance="none"), 20).counts) == {4}
    assert set(plan_views(TRUTH, 3, _choose(views=4, imbalance="none"), 2).counts) == {2}


def test_plan_without_augmentation_has_one_view_whatever_was_asked_for() -> None:
    chosen = _choose(views=4, augment=(), imbalance="oversample")
    assert set(plan_views(TRUTH, 3, chosen, 20).counts) == {1}


def test_plan_for_oversampling_has_more_views_of_the_small_class_only() -> None:
    counts = plan_views(TRUTH, 3, _choose(views=4, imbalance="oversample"), 20).counts
    assert set(counts[TRUTH < 2]) == {4} and set(counts[TRUTH == 2]) == {8}


def _pool(task: Task) -> Examples:
    """Return the images of a task and four others, in the order of their rows."""
    both = np.concatenate([task.train.rows, task.validation.rows + len(task.train.pixels)])
    pixels = np.concatenate([task.train.pixels, task.validation.pixels])
    rows = np.union1d(both, np.setdiff1d(np.arange(len(pixels)), both)[:4])
    return Examples(pixels, rows, np.zeros(len(rows), np.int64))


def _of_pool(task: Task, pool: Examples, **changes: Any) -> Cut | None:
    moved = len(task.train.pixels)
    train = Examples(pool.pixels, task.train.rows, task.train.truth)
    validation = Examples(pool.pixels, task.validation.rows + moved, task.validation.truth)
    chosen = replace(task.hyperparameters, **{k: v for k, v in changes.items() if k != "swap"})
    if changes.get("swap"):
        train, validation = validation, train
    task = replace(task, train=train, validation=validation, hyperparameters=chosen, pool=pool)
    return cut_activations(task, HEAD)


def test_split_of_a_pool_gets_the_activations_of_its_own_images_only(task: Task) -> None:
    cut = _of_pool(task, _pool(task), views=3)
    assert cut is not None
    assert np.allclose(_view(cut, 0), _features(task.built, task.train), atol=1e-4)
    validation = cut.validation.values[cut.validation.place[0]]
    assert np.allclose(validation, _features(task.built, task.validation), atol=1e-4)
    assert np.array_equal(cut.table.truth, task.train.truth) and set(cut.table.views) == {3}
    assert np.array_equal(cut.validation.truth, task.validation.truth)
    # Not even a later view is of another image: each row of the table belongs to one training image.
    used, of_validation = cut.table.place.ravel(), cut.validation.place[0]
    assert len(set(used)) == 3 * len(task.train.rows) and not set(used) & set(of_validation)


def test_activations_of_a_pool_are_computed_once_for_all_its_splits(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = _pool(task)
    first = _of_pool(task, pool)
    monkeypatch.setattr(activations, "run_front", None)
    other = _of_pool(task, pool, swap=True)
    assert first is not None and other is not None
    assert np.array_equal(_view(other, 0), first.validation.values[first.validation.place[0]])


def test_pool_that_has_no_room_or_needs_other_views_in_each_split_is_left_aside(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = _pool(task)
    small = _of_pool(task, pool, imbalance="oversample", views=1)
    # 12, 10 and 4 images: each is drawn as often as gives every class 12.
    assert small is not None and set(small.table.views) == {1, 2, 3}
    # 26 and 13 images with 12 features of 4 bytes each have room, and the pool's 43 images have not.
    monkeypatch.setattr(activations, "BUDGET", (26 + 13) * 12 * 4)
    cut = _of_pool(task, pool, views=1)
    assert cut is not None and len(cut.table.values) == 26 + 13
    assert np.allclose(_view(cut, 0), _features(task.built, task.train), atol=1e-4)


def _refit(task: Task, pool: Examples | None = None) -> Cut:
    """Return the activations of a refit of two epochs, of three views at most."""
    task = replace(task, hyperparameters=replace(task.hyperparameters, views=3), pool=pool)
    cut = refit_activations(task, replace(HEAD, epochs=2, refit=True), epochs_before=3)
    assert cut is not None
    return cut


def _all_images(task: Task) -> Examples:
    """Return training and validation images as the pool of a search."""
    return task.train.joined(task.validation)


def _count_images(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of images of each run of the frozen part."""
    computed: list[int] = []
    run = frozen.run_front

    def counted(divided: Any, chunks: Any, target: Any, advance: Any) -> None:
        computed.append(len(target))
        run(divided, chunks, target, advance)

    monkeypatch.setattr(activations, "run_front", counted)
    return computed


def test_refit_learns_all_images_in_the_order_of_their_rows(task: Task) -> None:
    cut, learned = _refit(task), task.train.joined(task.validation)
    assert np.allclose(_view(cut, 0), _features(task.built, learned), atol=1e-4)
    assert np.array_equal(cut.table.truth, learned.truth) and set(cut.table.views) == {2}
    assert len(cut.validation.truth) == 0
    places = cut.table.place.ravel()
    assert len(set(places)) == 2 * len(learned.rows)


def test_refit_computes_validation_images_only_where_the_phase_before_is_cached(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _cut(task, views=3) is not None
    computed = _count_images(monkeypatch)
    _refit(task)
    assert computed == [2 * len(task.validation.rows)]


def test_refit_learns_the_same_values_with_and_without_a_cache(task: Task, tmp_path: Path) -> None:
    assert _cut(task, views=3) is not None
    (tmp_path / "other").mkdir()
    resumed = tiny_task(tmp_path / "other", task.built)
    for number in range(2):
        assert np.array_equal(_view(_refit(task), number), _view(_refit(resumed), number))


def test_refit_in_a_pool_needs_nothing_but_what_the_phase_before_has_computed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = _all_images(task)
    pooled = replace(task, hyperparameters=replace(task.hyperparameters, views=3), pool=pool)
    assert cut_activations(pooled, HEAD) is not None
    computed = _count_images(monkeypatch)
    cut = _refit(task, pool)
    assert computed == []
    assert np.allclose(_view(cut, 0), _features(task.built, pool), atol=1e-4)
    assert set(cut.table.views) == {2}


def test_refit_without_room_for_all_views_has_fewer(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    learned = len(task.train.rows) + len(task.validation.rows)
    monkeypatch.setattr(activations, "BUDGET", learned * 12 * 4)
    cut = _refit(task)
    assert set(cut.table.views) == {1} and len(cut.table.values) == learned
