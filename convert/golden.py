"""The golden examples of a file: drawn patterns, or photos if they were asked for.

An example is worth its bytes where another runtime's rounding cannot flip its answer, and a runtime that is
fed wrongly gives another one. Both are measured on the file itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..edge.classifier import Classifier, Prediction
from ..edge.modelfile import ModelFile
from ..edge.runtime import Loaded, load_interpreter
from ..edge.tflite.sealing import Golden
from .patterns import draw_pattern

EXAMPLES = 2  # Of a file.
# Other processors round differently again: a difference between two sets of kernels here may double there.
_MARGIN = 2.0
_FIRST_PATTERNS, _MOST_PATTERNS = 24, 96
_CHOICE = PHOTOS_CHOSEN_FROM = 10
_CLEAR_MARGIN = 0.2  # Between the two highest probabilities.
_ENOUGH = 3.0  # Tolerances: beyond that, rounding counts more.


@dataclass(frozen=True)
class Fault:
    """Something that a runtime or an app may do wrongly with pixels, as a change of uint8 pixels."""

    words: str
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


FAULTS = (
    Fault("red and blue are swapped", lambda pixels: pixels[..., ::-1]),
    Fault("pixels are scaled to 0..1", lambda pixels: pixels // 255),
    Fault("pixels are halved", lambda pixels: pixels // 2),
    Fault("signed bytes are taken for unsigned ones", lambda pixels: pixels ^ np.uint8(128)),
)


@dataclass(frozen=True)
class _Candidate:
    """A picture that may become an example.

    `rounding` is the largest difference of a value between the runtime's own kernels and its
    delegate's, and `changes`, float64 [faults], that which each fault makes.
    """

    golden: Golden
    rounding: float
    changes: NDArray[np.float64]

    @property
    def answer(self) -> int:
        """The most probable class."""
        return int(self.golden.expected.argmax())

    @property
    def clearness(self) -> float:
        """How far the answer is from flipping within the tolerance: above 1 it cannot."""
        return _lead(self.golden.expected) / (2 * self.golden.tolerance)


@dataclass(frozen=True)
class GoldenChoice:
    """The examples, and the words for each of FAULTS that would not show in any of them."""

    examples: list[Golden]
    hidden: tuple[str, ...]

    def describe_hidden(self) -> str:
        """Return the sentence about what --self-check would not notice."""
        return (
            f"its golden examples are answered alike where {' or where '.join(self.hidden)}: --self-check "
            "would not notice it"
        )


def choose_patterns(sealed: bytes, tolerance: float) -> GoldenChoice:
    """Draw patterns, and choose two for a sealed file: of different answers, if it gives different ones.

    `tolerance` is the least that is allowed for a probability. Of the patterns with a clear margin between
    the two highest probabilities, those are chosen whose answers no difference within the tolerance flips,
    in which faults show, and which all kernels round alike.
    """
    file = _OpenFile(sealed, tolerance)
    pair = max(combinations(list(file.judge(_clear_patterns(file))), EXAMPLES), key=_worth)
    return _finish(pair)


def choose_photos(sealed: bytes, pixels: Sequence[NDArray[np.uint8]], tolerance: float) -> GoldenChoice:
    """Choose the two of up to ten photos, uint8 [height, width, 3], that all kernels round alike."""
    file = _OpenFile(sealed, tolerance)
    found = sorted(file.judge(pixels[:PHOTOS_CHOSEN_FROM], "photo"), key=lambda one: one.golden.tolerance)
    return _finish(found[:EXAMPLES])


class _OpenFile:
    """A sealed file, run by the runtime's delegate and by its own kernels, which old runtimes have only."""

    def __init__(self, sealed: bytes, tolerance: float) -> None:
        file = ModelFile.read(sealed)
        self._tolerance = tolerance
        self._classifier = Classifier(file)
        self._plain = Classifier(file, loaded=Loaded(load_interpreter(sealed, 1, keep_all=True)))

    @property
    def sides(self) -> tuple[int, int]:
        """The input's height and width."""
        return self._classifier.spec.height, self._classifier.spec.width

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities."""
        return self.predict(pixels).probabilities

    def predict(self, pixels: NDArray[np.uint8]) -> Prediction:
        """Return the prediction."""
        return self._classifier.classify_pixels(np.ascontiguousarray(pixels))

    def judge(self, pictures: Sequence[NDArray[np.uint8]], kind: str = "pattern") -> Iterator[_Candidate]:
        """Run each picture as it is, on other kernels, and with each fault.

        The tolerance is the given one, or twice the difference of kernels, whichever is larger.
        """
        for pixels in pictures:
            predicted, plain = self.predict(pixels), self._plain.classify_pixels(pixels)
            expected, unknown = predicted.probabilities, predicted.unknown_share
            rounding = _difference(plain.probabilities, expected)
            if unknown is not None and plain.unknown_share is not None:
                rounding = max(rounding, abs(plain.unknown_share - unknown))
            allowed = max(self._tolerance, round(_MARGIN * rounding, 3))
            changes = [_difference(self.run(fault.change(pixels)), expected) for fault in FAULTS]
            yield _Candidate(Golden(pixels, expected, allowed, kind, unknown), rounding, np.array(changes))


def _clear_patterns(file: _OpenFile) -> list[NDArray[np.uint8]]:
    """Return the patterns to choose from: of each answer in turn, those with a clear margin first.

    More are drawn until enough are clear, with more than one answer. The clearest are not preferred: where
    an answer is certain, hardly anything changes it.
    """
    drawn: list[tuple[float, int, NDArray[np.uint8]]] = []
    for seed in range(_MOST_PATTERNS):
        clear = [answer for lead, answer, _ in drawn if lead >= _CLEAR_MARGIN]
        if seed >= _FIRST_PATTERNS and len(clear) >= _CHOICE and len(set(clear)) > 1:
            break
        pixels = draw_pattern(seed, *file.sides)
        probabilities = file.run(pixels)
        drawn.append((_lead(probabilities), int(probabilities.argmax()), pixels))
    earlier: Counter[tuple[bool, int]] = Counter()
    ranked: list[tuple[bool, float, NDArray[np.uint8]]] = []
    for lead, answer, pixels in drawn:
        vague = lead < _CLEAR_MARGIN
        ranked.append((vague, -lead if vague else earlier[vague, answer], pixels))
        earlier[vague, answer] += 1
    ranked.sort(key=lambda one: one[:2])
    return [pixels for *_, pixels in ranked[:_CHOICE]]


def _worth(pair: tuple[_Candidate, ...]) -> tuple[bool, bool, int, float, float]:
    """Return what pairs are compared by, the most important first.

    They are: whether the pair holds, and has two answers; how many faults show; by how much the pair holds;
    and how far kernels agree.
    """
    shown = np.stack([one.changes / one.golden.tolerance for one in pair])
    holds = min(float(shown.max(0).min()), *(one.clearness for one in pair))
    several = len({one.answer for one in pair}) > 1
    rounding = max(one.rounding for one in pair)
    return holds > 1, several, int((shown > 1).sum()), min(holds, _ENOUGH), -rounding


def _finish(chosen: Sequence[_Candidate]) -> GoldenChoice:
    hidden = [
        fault.words
        for number, fault in enumerate(FAULTS)
        if all(one.changes[number] <= one.golden.tolerance for one in chosen)
    ]
    return GoldenChoice([one.golden for one in chosen], tuple(hidden))


def _lead(probabilities: NDArray[np.float32]) -> float:
    """Return by how much the highest probability exceeds the next one."""
    second, first = np.sort(probabilities)[-2:]
    return float(first - second)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.abs(one - other).max())
