"""Arithmetic of what others did between snapshots."""

from __future__ import annotations

from itertools import pairwise

import pytest
from edge_classify.benchmarks.surroundings.snapshot import (
    ProcessorTime,
    Snapshot,
    Span,
    elapsed,
    most_neighbours,
    neighbours,
    stretches,
)
from hypothesis import given
from hypothesis import strategies as st

LENGTHS = st.lists(st.floats(0.001, 3.0), max_size=40)
CORES = st.floats(0.0, 8.0)


def _spans(lengths: list[float], others: list[float], stolen: float = 0.0) -> list[Span]:
    """Return spans one after the other, in which others kept so many cores busy, and we one."""
    moments = [Snapshot(0.0, ProcessorTime(0.0, 0.0, 0.0))]
    for length, cores in zip(lengths, others, strict=True):
        last = moments[-1]
        assert last.processor is not None
        busy = last.processor.busy + (cores + 1) * length
        time = ProcessorTime(busy, last.processor.stolen + stolen * length, last.processor.ours + length)
        moments.append(Snapshot(last.seconds + length, time))
    return list(pairwise(moments))


@given(lengths=LENGTHS, seconds=st.floats(0.01, 2.0))
def test_stretches_hold_all_spans_in_order_and_are_long_enough_where_all_together_are(
    lengths: list[float], seconds: float
) -> None:
    spans = _spans(lengths, [0.0] * len(lengths))
    groups = list(stretches(spans, seconds))
    assert [span for group in groups for span in group] == spans
    if elapsed(spans) >= seconds:
        assert all(elapsed(group) >= seconds - 1e-9 for group in groups)
    else:
        assert len(groups) <= 1


@given(parts=st.lists(st.tuples(st.floats(0.01, 3.0), CORES), min_size=1, max_size=30))
def test_neighbours_are_the_mean_by_time_without_us_and_never_more_than_their_most(
    parts: list[tuple[float, float]],
) -> None:
    lengths, others = [length for length, _ in parts], [cores for _, cores in parts]
    spans = _spans(lengths, others)
    mean, most = neighbours(spans), most_neighbours(spans, 0.5)
    assert mean is not None
    assert most is not None
    expected = sum(length * cores for length, cores in parts) / sum(lengths)
    assert mean.cores == pytest.approx(expected, abs=1e-6)
    assert mean.cores <= most + 1e-6
    assert most <= max(others) + 1e-6


def test_neighbour_of_one_second_in_ten_is_seen_whole_in_the_most_and_a_tenth_in_the_mean() -> None:
    spans = _spans([0.1] * 100, [1.0 if 40 <= number < 50 else 0.0 for number in range(100)])
    mean, most = neighbours(spans), most_neighbours(spans, 0.5)
    assert mean is not None
    assert mean.cores == pytest.approx(0.1)
    assert most == pytest.approx(1.0)


def test_stolen_time_that_the_kernel_counts_as_ours_is_still_the_others() -> None:
    found = neighbours(_spans([1.0], [0.0], stolen=0.5))
    assert found is not None
    assert found.cores == pytest.approx(0.5)
    assert found.stolen == pytest.approx(0.5)


@pytest.mark.parametrize("spans", [[], [(Snapshot(0.0), Snapshot(1.0))]], ids=["no spans", "no psutil"])
def test_neighbours_of_nothing_measured_are_unknown_rather_than_none(spans: list[Span]) -> None:
    assert neighbours(spans) is None
    assert most_neighbours(spans, 0.5) is None
