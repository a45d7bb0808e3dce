"""The model beside which all others are measured stays the same for ever."""

from __future__ import annotations

import hashlib

from edge_classify.benchmarks.measuring.yardstick import YARDSTICK, yardstick_model


def test_yardstick_never_changes_so_that_results_of_all_releases_stay_comparable() -> None:
    assert hashlib.sha256(YARDSTICK.read_bytes()).hexdigest() == (
        "d4083057e970e245c43edb6324d6d158ea4b1543e5fb6849847dc74418219c87"
    )


def test_yardstick_is_read_and_hashed_once_and_its_record_is_of_the_whole_file() -> None:
    model = yardstick_model()
    assert model is yardstick_model()
    assert model.sha256 == hashlib.sha256(YARDSTICK.read_bytes()).hexdigest()
    assert (model.path, model.size_bytes) == (YARDSTICK, YARDSTICK.stat().st_size)
