"""Results as edge-benchmark gives them on a Raspberry Pi, made up: nothing is measured."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
from edge_classify.benchmarks.host import Host
from edge_classify.benchmarks.results.bits import pack
from edge_classify.benchmarks.results.result import (
    Change,
    ChoiceAnswers,
    ClassScore,
    ColdStart,
    Conditions,
    Energy,
    Failure,
    Interval,
    Latency,
    MeasuredAccuracy,
    Memory,
    Operations,
    OperatorTime,
    Origin,
    Pairing,
    Ratio,
    Result,
    Soak,
    SoakPoint,
    Spread,
    Stages,
    Subject,
    Yardstick,
)

PI = Host(
    board="Raspberry Pi 4 Model B Rev 1.4",
    processor="Cortex-A72",
    architecture="aarch64",
    cores=4,
    memory_mb=3981,
    system="Linux 6.6.31",
    python="3.11.2",
    fingerprint="0123456789ab",
)
LAPTOP = Host(
    board=None,
    processor="Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz",
    architecture="x86_64",
    cores=8,
    memory_mb=16659,
    system="Linux 6.1.0",
    python="3.12.3",
    fingerprint="ba9876543210",
)
ORIGIN = Origin(version="0.1.0", commit="1a2b3c4", started="2025-06-01T12:00:00+00:00")
_YARDSTICK_MS = 9.0


def result(**changes: Any) -> Result:
    """Return a result, with the fields of Result, Subject or Latency changed that `changes` names.

    The other times and the yardstick's ratio follow `median_ms`, unless they are given too. Sections other
    than memory, conditions and yardstick are None; the functions below make them.
    """
    median = changes.get("median_ms", 20.0)
    subject = _made(Subject, _subject(changes.get("file", "flowers_int8.tflite")), changes)
    timed = _made(Latency, latency_fields(median), changes)
    rest: dict[str, Any] = {
        "memory": Memory(peak=64.2, loaded=58.1, steady=60.4, slope=0.02),
        "energy": Energy(None, None, "This board has no power meter."),
        "conditions": Conditions(0.03, 0.11, (1500.0, 1500.0), (51.1, 58.4), (), "performance"),
        "host": PI,
        "origin": ORIGIN,
        "yardstick": yardstick(timed),
        **changes,
    }
    return Result(subject=subject, latency=timed, **rest)


def failure(**changes: Any) -> Failure:
    """Return the failure of a model, with the fields changed that `changes` names."""
    fields: dict[str, Any] = {
        "file": "flowers_int16x8.tflite",
        "threads": 1,
        "error": "flowers_int16x8.tflite needs operators that this runtime lacks. Received: CONV_2D",
        "host": PI,
        "origin": ORIGIN,
        "runtime": "tflite-runtime 2.14.0",
    }
    return Failure(**{**fields, **changes})


def _subject(file: str) -> dict[str, Any]:
    return {
        "file": file,
        "sha256": hashlib.sha256(file.encode(errors="surrogatepass")).hexdigest(),
        "size_bytes": 2_846_000,
        "variant": "int8",
        "threads": 1,
        "runtime": "ai-edge-litert 2.0.3",
    }


def _made(kind: type[Any], fields: dict[str, Any], changes: dict[str, Any]) -> Any:
    """Make a record of the fields and of those changes that it has, which are taken out of `changes`."""
    own = [field.name for field in dataclasses.fields(kind) if field.name in changes]
    return kind(**{**fields, **{name: changes.pop(name) for name in own}})


def latency_fields(median: float) -> dict[str, Any]:
    """Return the fields of a Latency of 3 processes with 8 blocks each, all in proportion to the median."""
    shape = (1.0, 1.004, 0.997, 1.002, 0.999, 1.006, 0.998, 1.001)
    return {
        "load_ms": median * 0.8,
        "first_ms": median * 1.9,
        "warm_up_runs": 40,
        "steady": True,
        "median_ms": median,
        "median_ci95": (median * 0.993, median * 1.008),
        "p90_ms": median * 1.03,
        "p95_ms": median * 1.05,
        "p99_ms": median * 1.21,
        "max_ms": median * 1.8,
        "runs": 1200,
        "processes": 3,
        "blocks": tuple(tuple(median * offset * part for part in shape) for offset in (1.0, 1.005, 0.995)),
    }


def yardstick(latency: Latency) -> Yardstick:
    """Return the yardstick of a model with that latency; the yardstick itself took 9 ms each time."""
    ratio = latency.median_ms / _YARDSTICK_MS
    return Yardstick(
        sha256="f" * 64,
        median_ms=_YARDSTICK_MS,
        ratio=ratio,
        ratio_ci95=(ratio * 0.99, ratio * 1.01),
        blocks=tuple(tuple(block / _YARDSTICK_MS for block in blocks) for blocks in latency.blocks),
    )


def ratio(median: float, base: str = "flowers_float32.tflite") -> Ratio:
    """Return a ratio to another model's time; it varied by some per cent between turns."""
    return Ratio(base, median, (median * 0.99, median * 1.01), median * 0.95, median * 1.06)


def around(rate: float, half: float) -> Interval:
    """Return the interval of `half` to both sides of a rate, cut to 0..1."""
    return (max(0.0, rate - half), min(1.0, rate + half))


def accuracy(
    top1: float = 0.9, labels: tuple[str, ...] = ("daisy", "rose", "tulip"), **changes: Any
) -> MeasuredAccuracy:
    """Return a model's accuracy on 1,000 images; each class is worse than the class before it."""
    scores = tuple(
        ClassScore(
            label=label,
            support=50,
            precision=max(0.0, top1 - 0.01 * index),
            precision_ci95=around(top1 - 0.01 * index, 0.05),
            recall=max(0.0, top1 - 0.02 * index),
            recall_ci95=around(top1 - 0.02 * index, 0.06),
            f1=max(0.0, top1 - 0.015 * index),
            f1_ci95=around(top1 - 0.015 * index, 0.055),
        )
        for index, label in enumerate(labels)
    )
    fields: dict[str, Any] = {
        "data": "flowers",
        "images": 1000,
        "skipped": 0,
        "outputs": len(labels),
        "top1": top1,
        "top1_ci95": around(top1, 0.019),
        "top5": min(1.0, top1 + 0.08),
        "top5_ci95": around(min(1.0, top1 + 0.08), 0.01),
        "macro_f1": top1 - 0.01,
        "macro_f1_ci95": around(top1 - 0.01, 0.02),
        "ece": 0.03,
        "choice": ChoiceAnswers("flowers", 1000, "", pack(np.arange(1000) < round(top1 * 1000))),
        "ece_ci95": (0.02, 0.045),
        "classes": scores,
        "pairing": None,
        "training_images": None,
        "training_examples": (),
    }
    return MeasuredAccuracy(**{**fields, **changes})


def pairing(base: str = "flowers_float32.tflite", changes: int = 30) -> Pairing:
    """Return a comparison with another model on 1,000 images, of which `changes` are answered differently."""
    changed = tuple(Change(f"tulip/{number:04}.jpg", "tulip", "tulip", "rose") for number in range(changes))
    agreement = 1 - changes / 1000
    return Pairing(
        base, agreement, around(agreement, 0.01), changes, 0, 0.004 if changes > 8 else 1.0, changed, True
    )


def spread(median: float) -> Spread:
    """Return a time's distribution with a tail."""
    return Spread(median, median * 1.1, median * 1.5, median * 2.2)


def stages(invoke: float = 20.0, **changes: Any) -> Stages:
    """Return the stages of a photo."""
    decode, resize, post = 6.0, 2.5, 0.05
    whole = decode + resize + invoke + post
    fields: dict[str, Any] = {
        "source": "files",
        "images": 200,
        "decode": spread(decode),
        "resize": spread(resize),
        "invoke": spread(invoke),
        "post": spread(post),
        "whole": spread(whole),
        "per_second": 1000 / whole,
        "workers": 4,
        "per_second_all": 3400 / whole,
    }
    return Stages(**{**fields, **changes})


def cold_start(median: float = 480.0) -> ColdStart:
    """Return the time of whole processes."""
    return ColdStart(median, median * 0.97, median * 1.12, 7, 61.0)


def operations(median: float = 20.0, **changes: Any) -> Operations:
    """Return the operators' times: a convolution has half of the time, SOFTMAX a little."""
    shares = (
        ("CONV_2D", 0.5, "XNNPACK"),
        ("DEPTHWISE_CONV_2D", 0.3, "XNNPACK"),
        ("SOFTMAX", 0.05, "the runtime"),
    )
    fields: dict[str, Any] = {
        "profiler": "the runtime's own profiler",
        "operators": tuple(
            OperatorTime(
                index,
                name,
                f"layer_{index}",
                by,
                median * share,
                share,
                int(4e8 * share),
                150_000 * (index + 1),
            )
            for index, (name, share, by) in enumerate(shares)
        ),
        "outside": ("SOFTMAX",),
        "macs": 300_000_000,
        "uncounted": (),
        "gmacs_per_s": 0.3 / median * 1000,
        "best_gmacs_per_s": 40.0,
        "of_best": 0.3 / median * 1000 / 40.0,
        "best_shape": "1x1 convolution, 56x56, 128 to 128 channels",
    }
    return Operations(**{**fields, **changes})


def soak(median: float = 20.0, minutes: float = 10.0, throttles: bool = True) -> Soak:
    """Return a soak in stretches of 10 s. Where it throttles, the clock falls by a third above 80 °C."""
    points = []
    for number in range(round(minutes * 6)):
        seconds = (number + 1) * 10.0
        heat = 50 + 35 * (1 - 0.5 ** (seconds / 120)) if throttles else 50.0
        slow = heat > 80
        points.append(
            SoakPoint(
                seconds=seconds,
                median_ms=median * (1.5 if slow else 1.0) * (1 + 0.004 * (number % 3)),
                p99_ms=median * (1.8 if slow else 1.2),
                temperature_c=min(heat, 82.0),
                clock_mhz=1000.0 if slow else 1500.0,
                neighbours=0.02 * (number % 2),
                rss_mb=60.4,
            )
        )
    return Soak(minutes, 0.5 if throttles else 0.0, tuple(points))
