from __future__ import annotations

from collections import Counter

import numpy as np
from edge_classify.train.examples import Examples, Table
from edge_classify.train.feeds import Feed, occurrences
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray


def _numbered(images: int, views: list[int]) -> Table:
    """A table whose value is 100 * image + view, so that a batch tells what it was made of."""
    place = np.full((max(views), images), -1, np.int64)
    values: list[int] = []
    for view in range(max(views)):
        for image in range(images):
            if view < views[image]:
                place[view, image] = len(values)
                values.append(100 * image + view)
    truth = np.arange(images) % 3
    return Table(np.array(values, np.float32)[:, None], place, np.array(views), truth)


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
    table = Table.of_pixels(Examples(pixels, np.array([4, 1, 5]), np.array([0, 2, 1])))
    images, classes = Feed(table, 3, 8)[0]
    assert images[:, 0, 0, 0].tolist() == [4, 1, 5] and images.dtype == np.uint8
    assert classes.argmax(1).tolist() == [0, 2, 1]
