from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from edge_classify.benchmarks.scoring.labelled import choose_sample
from edge_classify.edge.errors import OptionError
from edge_classify.edge.labelled import LabelledImage
from hypothesis import given
from hypothesis import strategies as st


def _images(sizes: list[int]) -> list[LabelledImage]:
    return [LabelledImage(Path(f"{k}/{i}.jpg"), str(k)) for k, size in enumerate(sizes) for i in range(size)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 300), st.integers(0, 99))
def test_sample_of_any_data_has_of_each_class_its_share(sizes: list[int], count: int, seed: int) -> None:
    images = _images(sizes)
    found = choose_sample(images, count, seed)
    assert len(found) == min(count, len(images)) and found == choose_sample(images, count, seed)
    assert found == [image for image in images if image in set(found)]  # In their order, none twice.
    shares = Counter(image.label for image in found)
    least = 1 if count >= len(sizes) else 0
    extra = sum(size * count / len(images) < 1 for size in sizes)  # Classes that get more than their share.
    for label, size in enumerate(sizes):
        share = min(size, size * count / len(images))
        assert max(least, share - 1 - extra) <= shares[str(label)] <= max(share, least) + 1


def test_sample_of_equal_classes_is_equal_and_another_seed_gives_another() -> None:
    images = _images([100, 100, 100])
    assert set(Counter(image.label for image in choose_sample(images, 60)).values()) == {20}
    assert choose_sample(images, 60) != choose_sample(images, 60, seed=1)


def test_sample_of_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match=r"at least one image. Received: 0"):
        choose_sample(_images([3]), 0)
