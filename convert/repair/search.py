"""Finds the cheapest change that repairs an 8-bit model whose answers differ from its float form's.

The attempts, in the order of their costs: other ranges for the activations; equalized channels, which
do not change the float model; the worst layers left in float. Each is made of all three rules for ranges
before it is decided whether the next is needed. In each file, biases and rounding are corrected.

An attempt passes by the top-1 accuracy that it lost: that is what `max_drop` promises. A few hundred images
cannot tell which of several attempts lost least of it, since only a few answers differ. So among attempts of
about the same latency, and for what layers in float are added to, the divergence of probabilities decides:
every image counts there, whether or not its answer changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...edge.errors import ConversionError
from ...edge.progress import progress
from ..tflite.correction import Correction
from ..tflite.quantizer import LayerQuantizer
from ..tflite.ranges import Clip, Ranges, observe
from .answers import answer, divergence, latency_ratios, lost_to, store_pixels
from .equalizer import equalize
from .report import Attempt, RepairReport, RepairRequest
from .sensitivity import LayerError, rank_layers, worst_side

_RANKING_IMAGES = 32  # Of the validation images: enough to rank layers, since errors differ by powers of ten.
_VALIDATION_IMAGES = 2000
_CLEARLY_FASTER = 0.97  # Measured latencies of equal work differ by up to 2 %.
_CLIPS: dict[Clip, str] = {
    "none": "ranges from the lowest to the highest value",
    "percentile": "ranges without the outermost 0.01 % of the values",
    "mse": "ranges of the least mean squared error",
}


@dataclass(frozen=True)
class _Base:
    """The start of a selective repair: a float model, its ranges, and how they are clipped."""

    attempt: Attempt
    float_model: bytes
    ranges: Ranges
    clip: Clip
    correction: Correction


def find_repair(request: RepairRequest) -> RepairReport:
    """Rank the layers, try repairs until one stays within `max_drop`, and choose the cheapest such repair.

    All files are judged on the first 2,000 validation images. Raises ConversionError when there are no
    images, or when the model cannot be quantized at all.
    """
    calibration = store_pixels(request.calibration())
    judge = _Judge(request)
    as_it_is = judge.judge("int8", "as it is", lambda: request.int8)
    ranges = observe(request.float_model, calibration)
    # A trained model is so sure of its training images that hardly any error changes an answer to them.
    diagnosis = rank_layers(request.float_model, ranges, judge.pixels[:_RANKING_IMAGES])
    attempts = [as_it_is]
    if not as_it_is.passes:
        attempts += _try_repairs(judge, request, ranges, diagnosis, calibration)
    attempts = _with_latencies(attempts, judge.pixels)
    return RepairReport(
        name=request.name,
        max_drop=request.max_drop,
        images=len(judge.pixels),
        labelled=judge.truth is not None,
        float_top1=judge.float_top1,
        diagnosis=tuple(diagnosis),
        worst_channels=_worst_channels(request, ranges, diagnosis),
        attempts=tuple(attempts),
        chosen=cheapest(attempts),
    )


class _Judge:
    """Compares files with the float model on the validation images."""

    def __init__(self, request: RepairRequest) -> None:
        self.pixels = store_pixels(request.validation(), _VALIDATION_IMAGES)
        self.truth = None if request.truth is None else request.truth[: len(self.pixels)]
        if self.truth is not None and len(self.truth) != len(self.pixels):
            raise ConversionError(
                f"There are {len(self.pixels)} validation images, and {len(self.truth)} classes for them"
            )
        self.max_drop = request.max_drop
        self.io = request.io
        self._reference = answer(request.float_model, self.pixels)
        hits = None if self.truth is None else self._reference.argmax(1) == self.truth
        self.float_top1 = None if hits is None else float(hits.mean())

    def judge(
        self, kind: str, what: str, make: Callable[[], bytes], kept: Sequence[LayerError] = ()
    ) -> Attempt:
        """Return the attempt that is the file which `make` returns, with the seconds that both took."""
        started = time.monotonic()
        flatbuffer = make()
        answers = answer(flatbuffer, self.pixels)
        loss = lost_to(self._reference, answers, self.truth)
        kept = sorted(kept, key=lambda error: error.index)
        return Attempt(
            kind,
            what,
            loss,
            loss.fraction <= self.max_drop,
            flatbuffer,
            tuple(error.name for error in kept),
            tuple(error.index for error in kept),
            divergence=divergence(self._reference, answers),
            same=float((answers.argmax(1) == self._reference.argmax(1)).mean()),
            seconds=time.monotonic() - started,
        )


def _try_repairs(
    judge: _Judge,
    request: RepairRequest,
    ranges: Ranges,
    diagnosis: Sequence[LayerError],
    calibration: NDArray[np.uint8],
) -> list[Attempt]:
    correction = Correction(request.float_model, lambda: iter(calibration))
    bases = list(_calibrations(judge, request.float_model, ranges, correction))
    if any(base.attempt.passes for base in bases):
        return [tried.attempt for tried in bases]
    equalized = equalize(request.float_model, ranges)
    if equalized is not None:
        correction = Correction(equalized, lambda: iter(calibration))
        bases += _calibrations(judge, equalized, observe(equalized, calibration), correction, equalized=True)
        if any(base.attempt.passes for base in bases):
            return [tried.attempt for tried in bases]
    best = min(bases, key=lambda base: base.attempt.divergence)
    if best.float_model is not request.float_model:
        diagnosis = rank_layers(best.float_model, best.ranges, judge.pixels[:_RANKING_IMAGES])
    return [tried.attempt for tried in bases] + _Selection(judge, best, diagnosis).search()


def _calibrations(
    judge: _Judge, float_model: bytes, ranges: Ranges, correction: Correction, *, equalized: bool = False
) -> Iterator[_Base]:
    """Yield an attempt for each rule for ranges; the first one's seconds include those of the correction."""
    kind, prefix = ("equalization", "channels equalized, ") if equalized else ("calibration", "")
    for clip, what in _CLIPS.items():
        make = partial(_quantize_all, float_model, ranges, clip, correction, judge.io)
        attempt = judge.judge(kind, f"{prefix}{what}, {ranges.images} images", make)
        yield _Base(attempt, float_model, ranges, clip, correction)


def _quantize_all(
    float_model: bytes, ranges: Ranges, clip: Clip, correction: Correction, io: Literal["float32", "uint8"]
) -> bytes:
    quantizer = LayerQuantizer(float_model, ranges, clip)
    return correction.apply(quantizer.quantize([layer.index for layer in quantizer.layers], io))


class _Selection:
    """Finds the fewest layers that must stay float, among those that `diagnosis` ranks."""

    def __init__(self, judge: _Judge, base: _Base, diagnosis: Sequence[LayerError]) -> None:
        self._judge, self._diagnosis = judge, diagnosis
        self._quantizer = LayerQuantizer(base.float_model, base.ranges, base.clip)
        self._correction = base.correction
        self._prefix = "channels equalized, " if base.attempt.kind == "equalization" else ""

    def search(self) -> list[Attempt]:
        """Keep 1, 2, 4, ... of the worst layers float until a file passes; then put back spare ones."""
        attempts = []
        count = 1
        while True:
            count = min(count, len(self._diagnosis))
            attempts.append(self._keep(self._diagnosis[:count]))
            if attempts[-1].passes or count == len(self._diagnosis):
                break
            count *= 2
        if attempts[-1].passes:
            pruned = self._prune(self._shortest(attempts[-1]))
            tried = {attempt.kept_indices for attempt in attempts}
            attempts += [a for a in (pruned, self._fill_gaps(pruned)) if a and a.kept_indices not in tried]
        return attempts

    def _keep(self, kept: Sequence[LayerError]) -> Attempt:
        floats = {error.index for error in kept}
        rest = [layer.index for layer in self._quantizer.layers if layer.index not in floats]
        layers = "layer" if len(kept) == 1 else "layers"

        def make() -> bytes:
            return self._correction.apply(self._quantizer.quantize(rest, self._judge.io))

        return self._judge.judge("selective", f"{self._prefix}{len(kept)} {layers} in float", make, kept)

    def _shortest(self, best: Attempt) -> Attempt:
        """Return the fewest worst layers that pass: as many as `best` keeps, or down to half of them."""
        low, high = len(best.kept_indices) // 2, len(best.kept_indices)
        while high - low > 1:
            middle = (low + high) // 2
            attempt = self._keep(self._diagnosis[:middle])
            fits = attempt.drop <= self._limit(best)
            low, high, best = (low, middle, attempt) if fits else (middle, high, best)
        return best

    def _prune(self, attempt: Attempt) -> Attempt:
        """Put layers back into 8 bits, the least harmful first, as long as that loses little."""
        limit = self._limit(attempt)
        kept = [error for error in self._diagnosis if error.index in attempt.kept_indices]
        with progress("Putting layers back into 8 bits", len(kept), "layers") as advance:
            for error in reversed(kept):
                fewer = [other for other in kept if other is not error]
                tried = self._keep(fewer) if fewer else attempt
                if fewer and tried.drop <= limit:
                    kept, attempt = fewer, tried
                advance()
        return attempt

    def _limit(self, attempt: Attempt) -> float:
        """Return the loss that is allowed for putting layers back.

        It leaves half of `max_drop` in reserve where possible: a file that is chosen by its result on some
        images does worse on others.
        """
        return max(self._judge.max_drop / 2, attempt.drop)

    def _fill_gaps(self, attempt: Attempt) -> Attempt | None:
        """Keep single layers between two float layers float too: that saves two conversions of the data."""
        floats = set(attempt.kept_indices)
        gaps = {index + 1 for index in floats if index + 2 in floats} - floats
        if not gaps:
            return None
        return self._keep([error for error in self._diagnosis if error.index in floats | gaps])


def _with_latencies(attempts: Sequence[Attempt], pixels: NDArray[np.uint8]) -> list[Attempt]:
    ratios = latency_ratios([attempt.flatbuffer for attempt in attempts], pixels)
    return [replace(attempt, latency_ratio=ratio) for attempt, ratio in zip(attempts, ratios, strict=True)]


def cheapest(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the fastest attempt that passes; a later one must be clearly faster, since times are noisy.

    Files of the same layers in 8 bits do the same work: of these, the one of the least divergence is taken.
    """
    best: Attempt | None = None
    for attempt in attempts:
        if not attempt.passes or attempt.latency_ratio is None:
            continue
        limit = np.inf if best is None or best.latency_ratio is None else best.latency_ratio
        if attempt.latency_ratio < limit * _CLEARLY_FASTER or (best and _is_truer(attempt, best)):
            best = attempt
    return best


def _is_truer(attempt: Attempt, best: Attempt) -> bool:
    same_work = (attempt.kind, attempt.kept_indices) == (best.kind, best.kept_indices)
    return same_work and attempt.divergence < best.divergence


def _worst_channels(
    request: RepairRequest, ranges: Ranges, diagnosis: Sequence[LayerError]
) -> tuple[float, ...]:
    if not diagnosis:
        return ()
    quantizer = LayerQuantizer(request.float_model, ranges)
    layer = quantizer.layers[diagnosis[0].index]
    return tuple(float(reach) for reach in worst_side(layer, ranges)[1].channel_ranges)
