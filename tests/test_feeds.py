from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.train.augmentation import strong_augmentation, strong_views
from edge_classify.train.dataset import Examples
from edge_classify.train.feeds import (
    MOST_VIEWS,
    ExampleTable,
    Feed,
    extra_views,
    occurrences,
    with_strong_views,
)
from edge_classify.train.fitting import fit
from edge_classify.train.imbalance import sample_order
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from .support.tiny_network import examples, tiny_built, tiny_task


def _numbered(images: int, views: list[int]) -> ExampleTable:
    """A table whose value is 100 * image + view, so that a batch tells what it was made of."""
    place = np.full((max(views), images), -1, np.int64)
    values: list[int] = []
    for view in range(max(views)):
        for image in range(images):
            if view < views[image]:
                place[view, image] = len(values)
                values.append(100 * image + view)
    truth = np.arange(images) % 3
    return ExampleTable(np.array(values, np.float32)[:, None], place, np.array(views), truth)


def _values(feed: Feed) -> list[int]:
    return [int(value) for number in range(len(feed)) for value in feed[number][0][:, 0]]


@given(st.lists(st.integers(0, 6), max_size=40))
def test_occurrences_of_any_order_are_how_often_each_came_before(order: list[int]) -> None:
    expected = [order[:place].count(value) for place, value in enumerate(order)]
    assert occurrences(np.array(order, np.int64)).tolist() == expected


def test_feed_gives_each_image_its_own_class_in_the_order_of_the_epoch() -> None:
    orders = [[2, 0, 3, 1], [1, 3, 0, 2], [0, 1, 2, 3]]
    feed = Feed(_numbered(4, [1] * 4), 3, 3, order=lambda epoch: np.array(orders[epoch]))
    for order in orders:
        assert [len(feed[number][0]) for number in range(len(feed))] == [3, 1]
        assert _values(feed) == [100 * image for image in order]
        classes = np.concatenate([feed[number][1] for number in range(len(feed))])
        assert classes.dtype == np.float32 and classes.argmax(1).tolist() == [image % 3 for image in order]
        assert (classes.sum(1) == 1).all()
        if order is not orders[-1]:
            feed.on_epoch_end()


def test_feed_without_an_order_gives_all_images_as_they_lie() -> None:
    feed = Feed(_numbered(5, [1] * 5), 3, 2)
    assert _values(feed) == [0, 100, 200, 300, 400]
    feed.on_epoch_end()
    assert _values(feed) == [0, 100, 200, 300, 400]


def test_feed_goes_through_the_views_of_each_image_by_turns() -> None:
    feed = Feed(_numbered(3, [1, 2, 3]), 3, 8)
    seen = []
    for _ in range(4):
        seen.append(_values(feed))
        feed.on_epoch_end()
    assert seen == [[0, 100, 200], [0, 101, 201], [0, 100, 202], [0, 101, 200]]


def _repeating(epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng(epoch).permutation([0, 1, 2, 2, 2, 2])


def test_feed_that_repeats_an_image_shows_all_its_views_before_one_comes_again() -> None:
    feed = Feed(_numbered(3, [2, 2, 12]), 3, 8, order=_repeating)
    seen: Counter[int] = Counter()
    for _ in range(3):
        seen.update(value for value in _values(feed) if value >= 200)
        feed.on_epoch_end()
    assert sorted(seen) == [200 + view for view in range(12)] and set(seen.values()) == {1}


def test_feed_begun_at_a_later_epoch_goes_on_like_one_that_came_to_it() -> None:
    table = _numbered(3, [2, 3, 5])
    feed = Feed(table, 3, 4, order=_repeating)
    for epoch in range(4):
        assert _values(feed) == _values(Feed(table, 3, 4, order=_repeating, epoch=epoch))
        feed.on_epoch_end()


def test_feed_with_class_weights_gives_each_image_that_of_its_class() -> None:
    weights = np.array([0.5, 1, 4], np.float32)
    feed = Feed(_numbered(4, [1] * 4), 3, 2, weights, lambda _: np.array([2, 0, 1, 3]))
    assert [feed[number][2].tolist() for number in range(2)] == [[4, 0.5], [1, 0.5]]
    assert len(Feed(_numbered(4, [1] * 4), 3, 2)[0]) == 2


def test_table_of_pixels_leads_to_the_rows_of_the_examples() -> None:
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    table = ExampleTable.of_pixels(Examples(pixels, np.array([4, 1, 5]), np.array([0, 2, 1])))
    images, classes = Feed(table, 3, 8)[0]
    assert images[:, 0, 0, 0].tolist() == [4, 1, 5] and images.dtype == np.uint8
    assert classes.argmax(1).tolist() == [0, 2, 1]


LARGEST_SEED = 2**32 - 1


def _noise(count: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


@pytest.mark.parametrize("seed", [0, 1, LARGEST_SEED])
def test_strong_view_of_each_image_is_made_of_that_image(seed: int) -> None:
    # Whatever is drawn, a flat picture stays flat but for its border, and noise has many colours.
    pixels, flat = _noise(19, 32), np.isin(np.arange(19), (1, 2, 7, 8, 13, 18))
    pixels[flat] = np.array([60, 120, 180], np.uint8)
    views = strong_views(pixels, True, seed, 1)
    assert views.dtype == np.uint8 and views.shape == pixels.shape
    colours = views.astype(int).reshape(19, -1, 3)
    usual = np.abs(colours - np.median(colours, axis=1, keepdims=True)).max(-1) <= 2
    assert np.array_equal(usual.mean(1) > 0.6, flat)


def test_strong_views_depend_on_pixels_and_numbers_alone() -> None:
    pixels = _noise(11)
    original = pixels.copy()
    first = strong_views(pixels, True, LARGEST_SEED, 2, 5)
    assert np.array_equal(pixels, original)
    assert np.array_equal(first, strong_views(pixels, True, LARGEST_SEED, 2, 5))
    for numbers in ((LARGEST_SEED - 1, 2, 5), (LARGEST_SEED, 3, 5), (LARGEST_SEED, 2, 6)):
        assert not np.array_equal(first, strong_views(pixels, True, *numbers))


def test_strong_augmentation_outside_training_changes_nothing() -> None:
    pixels = _noise(3).astype(np.float32)
    assert np.array_equal(strong_augmentation(0, rotation=True)(pixels, training=False), pixels)


counts_of_classes = st.lists(st.integers(0, 2_000), min_size=2, max_size=6).filter(any)


@given(counts_of_classes)
def test_views_of_any_classes_are_as_many_as_draws_within_both_limits_and_most_for_the_smallest(
    counts: list[int],
) -> None:
    views = extra_views(np.repeat(np.arange(len(counts)), counts), len(counts))
    assert len(views) == sum(counts) and (views - 1).sum() <= 1_000
    present = sorted((count, label) for label, count in enumerate(counts) if count)
    ends = np.cumsum(counts)
    by_class = [set(views[ends[label] - count : ends[label]].tolist()) for count, label in present]
    assert all(len(own) == 1 for own in by_class)
    numbers = [own.pop() for own in by_class]
    assert numbers == sorted(numbers, reverse=True)
    for number, (count, _) in zip(numbers, present, strict=True):
        assert 1 <= number <= min(MOST_VIEWS, -(-max(counts) // count))


def test_views_of_small_classes_are_all_made_while_there_are_few() -> None:
    truth = np.repeat(np.arange(4), [100, 50, 30, 2])
    views = extra_views(truth, 4)
    assert [set(views[truth == label]) for label in range(4)] == [{1}, {2}, {4}, {MOST_VIEWS}]


def _of_classes(*counts: int) -> Examples:
    return examples(counts, seed=0)


def test_table_of_strong_views_has_each_image_itself_first_and_then_variants_of_it() -> None:
    images = _of_classes(12, 6, 3)
    original = images.pixels.copy()
    table = with_strong_views(images, 3, True, 7)
    assert np.array_equal(images.pixels, original)
    assert [set(table.views[images.truth == label]) for label in range(3)] == [{1}, {2}, {4}]
    own = images.pixels[images.rows]
    assert np.array_equal(table.values[table.place[0]], own)
    for view in range(1, 4):
        rows = np.flatnonzero(table.views > view)
        made = table.values[table.place[view, rows]]
        assert made.dtype == np.uint8
        assert np.array_equal(made, strong_views(own[rows], True, 7, view))
        assert (made != own[rows]).any()
    mixed = np.array([table.place[3, images.truth == 2][0], images.rows[0], table.place[1].max()])
    for row, picture in zip(mixed, table.values[mixed], strict=True):
        assert np.array_equal(picture, table.values[np.array([row])][0])


def test_table_of_equally_large_classes_is_the_images_without_a_copy() -> None:
    images = _of_classes(4, 4, 4)
    table = with_strong_views(images, 3, True, 0)
    assert table.values is images.pixels and set(table.views) == {1}


def test_feed_of_strong_views_shows_a_repeated_image_in_another_variant_each_time() -> None:
    images = _of_classes(16, 16, 2)
    table = with_strong_views(images, 3, True, LARGEST_SEED)
    feed = Feed(table, 3, 8, order=lambda epoch: sample_order(images.truth, 0, epoch, "oversample"))
    batches = [feed[number] for number in range(len(feed))]
    pixels, labels = (np.concatenate([batch[part] for batch in batches]) for part in (0, 1))
    assert labels.sum(0).tolist() == [16, 16, 16]
    small = pixels[labels[:, 2] == 1]
    assert len({picture.tobytes() for picture in small}) == 2 * MOST_VIEWS


@pytest.mark.slow
def test_training_from_random_weights_on_repeated_and_mixed_images_says_so_and_repeats_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def weights(folder: str, **changes: Any) -> list[NDArray[Any]]:
        (tmp_path / folder).mkdir()
        task = tiny_task(
            tmp_path / folder, tiny_built(pretrained=False), epochs=(2, 0), seed=LARGEST_SEED, mix="cutmix",
            imbalance="oversample", **changes,
        )  # fmt: skip
        fit(task)
        result: list[NDArray[Any]] = task.built.model.get_weights()
        return result

    first = weights("first")
    assert "making stronger augmented views of the small classes" in capsys.readouterr().err
    assert all(np.isfinite(array).all() for array in first)
    for one, two in zip(first, weights("again"), strict=True):
        assert np.array_equal(one, two)
    capsys.readouterr()
    weights("without augmentation", augment=())
    assert "views" not in capsys.readouterr().err
