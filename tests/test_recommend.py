"""Which file is recommended, under which limits."""

from __future__ import annotations

from typing import Any

import pytest
from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.recommend import Candidate, recommend
from edge_classify.benchmarks.scoring.loss import Loss
from hypothesis import given
from hypothesis import strategies as st


def candidate(name: str, **changes: Any) -> Candidate:
    values = {"size": 4_000_000, "top1": 0.9, "lost": Loss(0.0), "median": 5.0, "p99": 6.0, "memory": 60.0}
    return Candidate(name, **{**values, **changes})


FLOAT = candidate("float32", size=14_000_000)
HALF = candidate("float16", size=7_000_000)
INT8 = candidate("int8", top1=0.895, lost=Loss(0.005), median=2.0, p99=2.5)
RUINED = candidate("ruined", top1=0.1, lost=Loss(0.8), median=1.0, p99=1.1, size=1_000_000)


def test_fastest_file_that_lost_little_is_recommended() -> None:
    found = recommend([FLOAT, HALF, INT8, RUINED], Budget(), 0.01)
    assert found.name == "int8"
    assert found.misses == {"ruined": ["loses 80.00 points, more than 1"]}
    assert found.reason == "the fastest of 3 files within 1 point of the best top-1"
    assert found.why_not == {"float32": "2.5 times as slow", "float16": "2.5 times as slow"}
    assert found.against("ruined") == "loses 80.00 points, more than 1"


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
    small = candidate("cnn", top1=0.8, median=0.1, p99=0.2)
    assert recommend([INT8, small], Budget(), 0.01).name == "int8"
    assert recommend([INT8, small], Budget(median=1.0), 0.01).name == "cnn"


@pytest.mark.parametrize(
    ("budget", "name", "missed"),
    [
        ("drop=0.1", "float16", "loses 0.50 points, more than 0.1"),
        ("size=3MB", None, "size 4.00 MB is above 3"),
        ("p99=2ms", None, "p99 2.50 ms is above 2"),
        ("median=1.5ms", None, "median 2.00 ms is above 1.5"),
        ("memory=50MB", None, "peak memory 60.00 MB is above 50"),
    ],
)
def test_limit_that_is_missed_is_named(budget: str, name: str | None, missed: str) -> None:
    found = recommend([FLOAT, HALF, INT8], Budget.parse(budget), 0.01)
    assert found.name == name
    assert found.misses["int8"] == [missed]
    if name is None:
        assert "none of the 3 files keeps the limits" in found.reason


def test_memory_that_could_not_be_measured_does_not_pass_for_little() -> None:
    found = recommend([candidate("a", memory=None)], Budget(memory=50), 0.01)
    assert found.misses == {"a": ["peak memory could not be measured"]}


def test_files_that_were_not_scored_are_chosen_by_speed() -> None:
    unscored = [candidate(n, top1=None, lost=None, median=m) for n, m in (("slow", 9.0), ("quick", 1.0))]
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


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-0.1, 1), st.floats(0.01, 100)), min_size=1, max_size=8))
def test_recommended_file_always_keeps_the_limits(rows: list[tuple[float, float, float]]) -> None:
    files = [candidate(str(i), top1=t, lost=Loss(lost), median=m) for i, (t, lost, m) in enumerate(rows)]
    found = recommend(files, Budget(median=10.0), 0.01)
    keeps = [c for c in files if c.median <= 10 and c.lost is not None and not c.lost.exceeds(0.01)]
    assert (found.name is None) == (not keeps)
    assert set(found.misses) == {c.name for c in files} - {c.name for c in keeps}
    if found.name is not None:
        assert found.name in {c.name for c in keeps}
