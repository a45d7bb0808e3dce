"""The figures of a peer, from its measurements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from edge_classify.benchmarks.measuring.distribution import median_interval
from edge_classify.edge.statistics.proportions import wilson_interval
from numpy.typing import NDArray

from studies.peers.catalogue import REFERENCE
from studies.peers.turns import PeerMeasurement

Interval = tuple[float, float]


@dataclass(frozen=True)
class PairedRatio:
    """A time as a multiple of another peer's: the median, lowest and highest over the rounds."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Share:
    """`count` of `images`, with the 95 % interval of the rate, 0..1."""

    count: int
    images: int
    rate: float
    ci95: Interval


@dataclass(frozen=True)
class Figures:
    """A row of the table. Times in ms, memory and disk in MB (10^6 bytes); None where not measured.

    `ratio` compares inferences with those of `base`, edge-classify with the same kind of file. `agreement` is
    the share of pictures with Keras's answer, `top1` that of right answers. `failure` says why there are no
    figures.
    """

    key: str
    title: str
    kind: str
    base: str
    version: str
    remark: str
    disk_mb: float | None
    load_ms: float | None = None
    first_ms: float | None = None
    median_ms: float | None = None
    median_ci95: Interval | None = None
    ratio: PairedRatio | None = None
    photo_ms: float | None = None
    cold_ms: float | None = None
    peak_mb: float | None = None
    agreement: Share | None = None
    top1: Share | None = None
    failure: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the object that --output writes."""
        return asdict(self)


def summarize(measurements: Sequence[PeerMeasurement], truth: NDArray[np.int64] | None) -> list[Figures]:
    """Return the figures of all peers, in order; `truth` are the true classes of the pictures."""
    by_key = {
        measurement.peer.key: measurement for measurement in measurements if measurement.failure is None
    }
    reference = by_key.get(REFERENCE)
    expected = None if reference is None else _indices(reference)
    return [
        _figures(measurement, by_key.get(measurement.peer.base), expected, truth)
        for measurement in measurements
    ]


def _figures(
    measurement: PeerMeasurement,
    base: PeerMeasurement | None,
    expected: NDArray[np.int64] | None,
    truth: NDArray[np.int64] | None,
) -> Figures:
    peer = measurement.peer
    row = Figures(
        peer.key,
        peer.title,
        peer.kind,
        peer.base,
        measurement.version,
        measurement.remark,
        measurement.disk_mb,
        failure=measurement.failure,
    )
    if measurement.failure is not None:
        return row
    answers = _indices(measurement)
    blocks = [np.array(block, np.float64) for block in measurement.blocks]
    peaks = [peak for _, peak in measurement.cold if peak is not None]
    times: dict[str, Any] = {
        "load_ms": measurement.load_ms,
        "first_ms": measurement.first_ms,
        "median_ms": _median([time for block in measurement.blocks for time in block]),
        "median_ci95": median_interval([blocks]) if blocks else None,
        "ratio": paired_ratio(measurement.blocks, base.blocks)
        if base is not None and base is not measurement
        else None,
        "photo_ms": _median([time for part in measurement.photos for time in part]),
        "cold_ms": _median([time for time, _ in measurement.cold]),
        "peak_mb": max(peaks, default=None),
        "agreement": same_share(answers, expected),
        "top1": same_share(answers, truth),
    }
    return replace(row, **times)


def paired_ratio(blocks: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> PairedRatio | None:
    """Compare the medians of blocks of the same round; None where no round has both."""
    ratios = [
        statistics.median(mine) / statistics.median(other) for mine, other in zip(blocks, base, strict=False)
    ]
    return PairedRatio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def same_share(answers: NDArray[np.int64], expected: NDArray[np.int64] | None) -> Share | None:
    """Return the share of class indices that are as expected; None where either is missing."""
    if expected is None or len(answers) != len(expected) or not len(answers):
        return None
    count = int((answers == expected).sum())
    return Share(count, len(answers), count / len(answers), wilson_interval(count, len(answers)))


def _indices(measurement: PeerMeasurement) -> NDArray[np.int64]:
    return np.array([index for index, _ in measurement.answers], np.int64)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
