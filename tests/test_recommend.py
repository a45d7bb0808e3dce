"""Which file is recommended, under which limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.recommend import Candidate, recommend
from edge_classify.benchmarks.scoring.choice import RightAnswers
from edge_classify.benchmarks.scoring.loss import Loss
from hypothesis import given
from hypothesis import strategies as st

IMAGES = 400


@dataclass(frozen=True)
class Scored:
    """An accuracy that was compared with chance."""

    images: int
    top1: float
    chance: float | None
    above_chance_p: float | None


def answers(wrong: int, model_wrong: int | None = None, images: int = IMAGES) -> RightAnswers:
    """Return answers of which the first `wrong` are wrong, to `images` validation images."""
    right = np.arange(images) >= wrong
    model = None if model_wrong is None else np.arange(images) >= model_wrong
    return RightAnswers("validation", True, right, model)


def candidate(name: str, **changes: Any) -> Candidate:
    values = {
        "size": 4_000_000, "answers": answers(40), "lost": Loss(0, 0, IMAGES), "median": 5.0, "p99": 6.0,
        "memory": 60.0,
    }  # fmt: skip
    return Candidate(name, **{**values, **changes})


FLOAT = candidate("float32", size=14_000_000)
HALF = candidate("float16", size=7_000_000, answers=answers(40, 40))
INT8 = candidate("int8", answers=answers(42, 40), lost=Loss(4, 2, IMAGES), median=2.0, p99=2.5)
RUINED = candidate(
    "ruined", answers=answers(360, 40), lost=Loss(320, 0, IMAGES), median=1.0, p99=1.1, size=1_000_000
)


def test_fastest_file_that_is_not_shown_to_be_less_accurate_is_recommended() -> None:
    found = recommend([FLOAT, HALF, INT8, RUINED], Budget(), 0.01)
    assert found.name == "int8"
    assert found.misses == {"ruined": ["loses 80.00 points, and more than 1 is no chance"]}
    assert found.reason == (
        "the fastest of 3 files, none of which is shown to be more than 1 point less accurate than the best"
    )
    assert found.why_not == {"float32": "2.5 times as slow", "float16": "2.5 times as slow"}
    assert found.against("ruined") == "loses 80.00 points, and more than 1 is no chance"
    assert found.basis == "Chosen by 400 images of validation; the figures are of other images."


def test_one_image_of_36_sets_no_file_aside_and_the_images_that_would_tell_are_named() -> None:
    float32 = candidate("float32", answers=answers(2, images=36), lost=Loss(0, 0, 36))
    quick = candidate("int8", answers=answers(3, 2, images=36), lost=Loss(1, 0, 36), median=2.0, p99=2.5)
    others = [candidate(f"other{n}", answers=answers(2, 2, images=36), lost=Loss(0, 0, 36)) for n in range(6)]
    found = recommend([float32, quick, *others], Budget(), 0.01)
    assert found.name == "int8" and not found.misses
    (doubt,) = found.doubts
    assert doubt.startswith(
        "Whether int8 is more than 1 point less accurate than its own float model cannot be told from 36"
    )
    assert "would tell" in doubt


def test_loss_that_only_many_comparisons_leave_open_is_said_to_be_open() -> None:
    # 15 lost and 4 won of 287: p = 0.04 alone, which is no evidence among the comparisons of four files.
    right = np.arange(287) >= 5
    slip = right.copy()
    slip[:4], slip[-15:] = True, False
    best = candidate("cnn", answers=RightAnswers("validation", True, right))
    quick = candidate("quick", answers=RightAnswers("validation", True, slip, slip), median=1.0, p99=1.1)
    found = recommend([best, candidate("other", answers=best.answers), quick], Budget(), 0.01)
    assert found.name == "quick"
    assert found.doubts == (
        "Whether quick is more than 1 point less accurate than the most accurate of these models cannot be "
        "told from 287 images (at most 6.70 points at 95 %); about 4,100 would tell.",
    )


@pytest.mark.parametrize(("top1", "against"), [(338 / 359, True), (350 / 359, False)])
def test_images_that_report_speak_against_the_choice_and_do_not_change_it(top1: float, against: bool) -> None:
    best = candidate("cnn", accuracy=Scored(359, 358 / 359, 0.1, 0.0))
    quick = candidate("quick", median=1.0, p99=1.1, accuracy=Scored(359, top1, 0.1, 0.0))
    found = recommend([best, quick], Budget(), 0.01)
    told = [doubt for doubt in found.doubts if "speak against" in doubt]
    assert found.name == "quick"
    assert told == [
        "The 359 other images speak against it: it has 94.2% (91.2% to 96.1%) right, and cnn 99.7% "
        "(98.4% to 100.0%). Take that one where accuracy counts more than speed."
    ] * against  # fmt: skip


def test_of_eight_healthy_files_none_is_set_aside_by_chance() -> None:
    # 1.2 % of answers lost and 1.0 % won: in at most 2 of 100 runs a file is called less accurate.
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(100):
        model = rng.random(359) < 0.9
        files = [candidate("float32", answers=RightAnswers("v", True, model), median=9.0)]
        for number in range(7):
            change = rng.random(359)
            file = (model & (change >= 0.012 / 0.9)) | (~model & (change < 0.010 / 0.1))
            files.append(candidate(str(number), answers=RightAnswers("v", True, file, model), lost=None))
        found = recommend(files, Budget(), 0.01)
        called += any("less accurate" in why for why in found.why_not.values())
    assert called <= 2


def test_file_that_won_by_chance_does_not_make_the_others_less_accurate() -> None:
    lucky = candidate("lucky", answers=answers(20, 40), median=9.0)
    found = recommend([FLOAT, INT8, lucky], Budget(), 0.01)
    assert found.name == "int8" and found.against("lucky") == "4.5 times as slow"


def test_accuracy_that_was_not_measured_is_no_pass() -> None:
    unknown = candidate("unknown", answers=None, lost=None, median=0.1)
    assert recommend([FLOAT, unknown], Budget(), 0.01).name == "float32"
    alone = recommend([candidate("int8", lost=None)], Budget(drop=0.1), 0.01)
    assert alone.name is None and "drop could not be measured" in alone.misses["int8"][0]


def test_file_that_is_right_no_more_often_than_chance_is_not_recommended() -> None:
    accuracy = Scored(images=90, top1=0.0, chance=1 / 3, above_chance_p=1.0)
    useless = candidate("useless", accuracy=accuracy, median=0.1)
    assert recommend([FLOAT, useless], Budget(), 0.01).name == "float32"
    alone = recommend([useless], Budget(), 0.01)
    assert alone.name is None
    assert alone.reason.startswith("no file is right more often than chance; useless: 0.0% of 90 images")
    few = candidate("few", accuracy=Scored(images=8, top1=0.75, chance=0.5, above_chance_p=0.24))
    (doubt,) = recommend([few], Budget(), 0.01).doubts
    assert doubt.startswith("few cannot be told from chance: 75.0% of 8 images are right")


def test_of_files_that_are_as_fast_the_smallest_is_recommended_and_of_those_the_steadiest() -> None:
    assert recommend([FLOAT, HALF], Budget(), 0.01).name == "float16"
    steady = candidate("steady", size=4_100_000, p99=5.1)
    found = recommend([candidate("bursts", p99=9.0), steady], Budget(), 0.01)
    assert (found.name, found.against("bursts")) == ("steady", "as fast within 10 %, and its p99 is 9.00 ms")


def test_more_threads_are_only_recommended_where_they_make_it_faster() -> None:
    one, two = candidate("one"), candidate("two", threads=2, median=4.7, p99=5.5)
    found = recommend([one, two], Budget(), 0.01)
    assert (found.name, found.against("two")) == ("one", "as fast within 10 %, with 2 threads instead of 1")
    four = candidate("four", threads=4, median=2.5)
    assert recommend([one, two, four], Budget(), 0.01).name == "four"


def test_runtime_that_takes_more_memory_is_not_recommended_for_a_p99_that_may_be_chance() -> None:
    light, heavy = candidate("light"), candidate("heavy", memory=700.0, p99=5.5)
    found = recommend([heavy, light, candidate("untold", memory=None, p99=5.1)], Budget(), 0.01)
    assert found.name == "light"
    assert found.against("heavy") == "as fast within 10 %, and takes 700 MB of memory"
    assert found.against("untold") == "as fast within 10 %, but its memory could not be measured"


def test_model_that_is_less_accurate_than_another_is_not_recommended_for_its_speed() -> None:
    small = candidate("cnn", answers=answers(80), median=0.1, p99=0.2)
    assert recommend([INT8, small], Budget(), 0.01).name == "int8"
    assert recommend([INT8, small], Budget(median=1.0), 0.01).name == "cnn"


@pytest.mark.parametrize(
    ("budget", "name", "missed"),
    [
        ("drop=0.1", "float16", "loses 5.00 points, and more than 0.1 is no chance"),
        ("size=3MB", None, "size 4.00 MB is above 3"),
        ("p99=2ms", None, "p99 2.50 ms is above 2"),
        ("median=1.5ms", None, "median 2.00 ms is above 1.5"),
        ("memory=50MB", None, "peak memory 60.00 MB is above 50"),
    ],
)
def test_limit_that_is_missed_is_named(budget: str, name: str | None, missed: str) -> None:
    int8 = replace(INT8, lost=Loss(22, 2, IMAGES))
    found = recommend([FLOAT, HALF, int8], Budget.parse(budget), 0.1)
    assert found.name == name
    assert found.misses["int8"] == [missed]
    if name is None:
        assert "none of the 3 files keeps the limits" in found.reason


def test_memory_that_could_not_be_measured_does_not_pass_for_little() -> None:
    found = recommend([candidate("a", memory=None)], Budget(memory=50), 0.01)
    assert found.misses == {"a": ["peak memory could not be measured"]}


def test_files_that_were_not_scored_are_chosen_by_speed() -> None:
    unscored = [candidate(n, answers=None, lost=None, median=m) for n, m in (("slow", 9.0), ("quick", 1.0))]
    found = recommend(unscored, Budget(), 0.01)
    assert (found.name, found.reason) == ("quick", "the fastest of 2 files; none was scored")


@given(
    st.floats(0.01, 1e3).map(lambda v: round(v, 2)),
    st.sampled_from([("size", "MB", 1e6), ("size", "KiB", 1024.0), ("memory", "GB", 1e3), ("p99", "us", 1e-3),
                     ("median", "s", 1e3), ("drop", "", 1.0), ("drop", "points", 1.0)]),
)  # fmt: skip
def test_limit_is_read_in_its_unit(value: float, kind: tuple[str, str, float]) -> None:
    name, unit, worth = kind
    assert getattr(Budget.parse(f" {name}={value}{unit} "), name) == pytest.approx(value * worth)


def test_budget_of_several_limits_is_read() -> None:
    assert Budget.parse("size=4MB, p99=20ms,drop=1") == Budget(size=4e6, p99=20, drop=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed=3ms", "limits of size, ram, memory, median, p99, drop. Received: 'speed'"),
        ("size=4", "size must be a number with a unit"),
        ("size=4 parsecs", "size must be a number with a unit"),
        ("p99=-2ms", "p99 must be a number"),
        ("p99=nan", "p99 must be a number"),
        ("size=4MB,size=5MB", "must give size once"),
        ("", "Received: ''"),
    ],
)
def test_budget_that_makes_no_sense_is_refused_with_what_is_valid(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Budget.parse(text)


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 100)),
        min_size=1,
        max_size=8,
    )
)
def test_recommended_file_always_keeps_the_limits(rows: list[tuple[int, int, int, float]]) -> None:
    files = [
        candidate(str(i), answers=answers(wrong, images=120), lost=Loss(lost, won, 120), median=median)
        for i, (wrong, lost, won, median) in enumerate(rows)
    ]
    found = recommend(files, Budget(median=10.0), 0.01)
    keeps = [c for c in files if c.median <= 10 and c.lost and not c.lost.is_shown_above(0.01, len(files))]
    assert (found.name is None) == (not keeps)
    assert set(found.misses) == {c.name for c in files} - {c.name for c in keeps}
    if found.name is not None:
        assert found.name in {c.name for c in keeps}
