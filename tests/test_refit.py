from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.errors import OptionError
from edge_classify.train.one_model import check_refit, refits

from .support.train_options import make_options


def _data(train: int, validation: int, test: int) -> Any:
    counts = {"train": train, "validation": validation, "test": test}
    return SimpleNamespace(rows={name: np.arange(count) for name, count in counts.items()})


@pytest.mark.parametrize(
    ("name", "weights", "counts", "expected"),
    [
        ("mobilenet_v2", "imagenet", (80, 20, 25), True),
        ("mobilenet_v2", "base.weights.h5", (80, 20, 25), True),
        ("mobilenet_v2", "none", (80, 20, 25), False),
        ("cnn", "imagenet", (80, 20, 25), False),
        ("mobilenet_v2", "imagenet", (80, 20, 0), False),
        ("mobilenet_v2", "imagenet", (4_499, 500, 25), True),
        ("mobilenet_v2", "imagenet", (4_500, 500, 25), False),
    ],
)
def test_validation_images_are_learned_where_that_gains_and_test_images_are_left(
    name: str, weights: str, counts: tuple[int, int, int], expected: bool
) -> None:
    assert refits(name, _data(*counts), make_options(weights=weights, refit=None)) is expected


def test_refit_without_test_images_is_refused_with_the_way_out() -> None:
    with pytest.raises(OptionError, match="Give --test-split a share, or leave --refit out"):
        check_refit(_data(80, 20, 0), make_options(refit=True))
    check_refit(_data(80, 20, 0), make_options(refit=None))
    check_refit(_data(80, 20, 1), make_options(refit=True))
