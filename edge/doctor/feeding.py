"""Whether a model gets pixels as in its training: several ways to feed it are tried on labelled images.

Colours in the wrong order, pixels scaled to another range and labels in another order all give plausible
answers; only labelled images show the mistake.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..channels import BGR, ORDERS, RGB
from ..classifier import Classifier
from ..errors import ImageError
from ..labelled import LabelledImage
from ..modelfile import NAMED_NORMALIZATIONS, Normalization
from ..sources.frames import FilePicture
from ..statistics.paired import mcnemar_p
from ..statistics.proportions import wilson_interval
from .label_order import right_in_other_order

# The defaults of frameworks, beside the ranges that --normalization has names for: torchvision's
# transforms.Normalize for ImageNet and Caffe's means of ImageNet, both for pixels 0..255.
# https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py
_TORCH = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_CAFFE = Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
SCALINGS = (*NAMED_NORMALIZATIONS.values(), _TORCH, _CAFFE)
_PIXELS = NAMED_NORMALIZATIONS["0..255"]
_UNTRIED = -1
_ROUND = 20  # After so many images, ways are given up
_HOPELESS = 0.001  # whose p-value against the best way is below this,
_NO_BETTER_AFTER = 40  # or that are no better than the way in use after so many.


@dataclass(frozen=True)
class Reading:
    """How a model reads its input: the scaling of red, green and blue, and the order of the colours.

    `color` is None for grey pictures, and `normalization` for a model that takes pixels as they are, or whose
    scaling is inside the graph.
    """

    normalization: Normalization | None
    color: str | None

    def options(self, used: Reading | None) -> tuple[str, ...]:
        """Return the options that say where this differs from the reading in use, or all of it."""
        found = []
        if self.normalization is not None and (used is None or self.normalization != used.normalization):
            found.append(f"--normalization {self.normalization.to_text()}")
        if self.color is not None and self.color != (RGB if used is None else used.color):
            found.append(f"--color {self.color}")
        return tuple(found)


@dataclass(frozen=True)
class Way:
    """A way to feed pixels: what the classifier gets, and the `options` that say so: none for the way in use.

    `name` is for people.
    """

    name: str
    normalization: Normalization | None
    color: str = RGB
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeedTrial:
    """The answers of each way: `answers` int64 [ways, images] and `truth` int64 [images] index `labels`.

    An answer is -1 where a way had been given up.
    """

    ways: tuple[Way, ...]
    labels: tuple[str, ...]
    answers: NDArray[np.int64]
    truth: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right: bool [ways, images]."""
        return np.asarray(self.answers == self.truth, np.bool_)

    def finished(self, place: int) -> bool:
        """Return whether a way was tried on all images."""
        return bool((self.answers[place] != _UNTRIED).all())

    def rate(self, place: int) -> str:
        """Return a text with how often a way was right, with the 95 % interval."""
        return describe_rate(int(self.right[place].sum()), int((self.answers[place] != _UNTRIED).sum()))

    def p_value(self, a: int, b: int) -> float:
        """Return the p-value of McNemar's test of two ways."""
        return compare(self.right[a], self.right[b])


def describe_rate(right: int, tried: int) -> str:
    """Return "48 of 50 images, 96.0% (86.5% to 98.9%)", with the 95 % interval."""
    low, high = wilson_interval(right, tried)
    return f"{right} of {tried} images, {right / tried:.1%} ({low:.1%} to {high:.1%})"


def compare(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's test of two lists of right answers to the same images."""
    return mcnemar_p(int((a & ~b).sum()), int((b & ~a).sum()))


def ways_to_feed(classifier: Classifier, scaling_known: bool) -> tuple[Way, ...]:
    """Return the ways to try: first the way in use, or all ranges where it is not known.

    For a model with a card, or one that takes raw bytes, only the order of the colours is in doubt.
    """
    if classifier.file.card is not None:
        return exchanged_only(classifier.normalization, classifier.color)
    layout = classifier.input.layout
    grey = layout is not None and layout.channels == 1
    if not scaling_known:
        readings = _readings(SCALINGS, grey)
        return tuple(
            Way(" ".join(one.options(None)), one.normalization, one.color or RGB, one.options(None))
            for one in readings
        )
    used = Reading(classifier.normalization, None if grey else classifier.color)
    scalings = SCALINGS if used.normalization is not None else (None,)
    return tuple(
        Way(_name(options), one.normalization, one.color or RGB, options)
        for one in _in_front(used, _readings(scalings, grey))
        for options in [one.options(used)]
    )


def ways_around(used: Reading) -> tuple[Way, ...]:
    """Return the ways to feed a float32 file of edge-convert as if other options had been given.

    Its graph takes RGB of 0..255 and reads them by `used`. It gets values that are then what another reading
    makes of the pixels.
    """
    assumed = used.normalization or _PIXELS
    ways = []
    for one in _in_front(used, _readings(SCALINGS, used.color is None)):
        exchanged = one.color != used.color
        fed = _undone(one.normalization or _PIXELS, assumed, exchanged)
        options = one.options(used)
        ways.append(Way(_name(options), fed, BGR if exchanged else RGB, options))
    return tuple(ways)


def exchanged_only(normalization: Normalization | None = None, color: str = RGB) -> tuple[Way, ...]:
    """Return the ways to feed a model whose card says all the rest: as it is fed, and exchanged."""
    other = RGB if color == BGR else BGR
    exchanged = Way("with red and blue exchanged", normalization, other, (f"--color {other}",))
    return Way(_name(()), normalization, color), exchanged


def _readings(scalings: Sequence[Normalization | None], grey: bool) -> list[Reading]:
    if grey:
        return [Reading(one, None) for one in scalings if one is None or max(map(len, one)) == 1]
    return [Reading(one, color) for color in ORDERS for one in scalings]


def _in_front(used: Reading, others: Sequence[Reading]) -> list[Reading]:
    """Return all readings, the one in use first; its own scaling is also tried in the other order."""
    colors = [used.color] if used.color is None else ORDERS
    own = [Reading(used.normalization, color) for color in colors if color != used.color]
    return list(dict.fromkeys([used, *own, *others]))


def _undone(tried: Normalization, assumed: Normalization, exchanged: bool) -> Normalization:
    """Return what makes (x - m) / s of pixels such that `assumed` makes of it what `tried` makes of pixels.

    Where the colours are exchanged afterwards, the values of red go through the scaling for blue.
    """
    step = -1 if exchanged else 1
    mean, std = (np.broadcast_to(np.asarray(part, np.float64)[::step], 3) for part in assumed)
    wanted, scale = (np.broadcast_to(np.asarray(part, np.float64), 3) for part in tried)
    return Normalization(tuple((wanted - mean * scale / std).tolist()), tuple((scale / std).tolist()))


def _name(options: Sequence[str]) -> str:
    return f"with {' '.join(options)}" if options else "as it is fed"


def try_ways(
    classifier: Classifier,
    ways: Sequence[Way],
    images: Sequence[LabelledImage],
    seconds: float = math.inf,
    advance: Callable[[], object] = lambda: None,
) -> FeedTrial:
    """Classify images in each way for about `seconds`, at least one image.

    Ways other than the first are given up as soon as they are clearly worse than the best, with the labels in
    any order, or no better than the first after 40 images. Images that cannot be read, and those whose label
    the model does not have, are left out. `classifier` is changed. `advance` is called after each image.
    Raises ModelFileError where the model cannot be run.
    """
    numbers = {label: index for index, label in enumerate(classifier.labels)}
    known = [image for image in images if image.label in numbers]
    trial = FeedTrial(
        tuple(ways), classifier.labels, np.zeros((len(ways), 0), np.int64), np.zeros(0, np.int64)
    )
    left = list(range(len(ways)))
    end = time.monotonic() + seconds
    for image in known:
        advance()
        if trial.truth.size and time.monotonic() > end:
            break
        try:
            pixels = classifier.to_pixels(FilePicture(image.path))
        except ImageError:
            continue
        column = np.full(len(ways), _UNTRIED)
        column[left] = [_answer(classifier, ways[place], pixels) for place in left]
        answers = np.column_stack([trial.answers, column])
        trial = replace(trial, answers=answers, truth=np.append(trial.truth, numbers[image.label]))
        if trial.truth.size % _ROUND == 0:
            left = _still_open(trial, left)
    return trial


def _still_open(trial: FeedTrial, left: Sequence[int]) -> list[int]:
    """Return the ways that may still prove to be the best."""
    right = {place: _best_right(trial, place) for place in left}
    best = max(left, key=lambda place: int(right[place].sum()))
    first = int(trial.right[0].sum())
    enough = trial.truth.size >= _NO_BETTER_AFTER and first > 0

    def is_open(place: int) -> bool:
        if place == 0:
            return True
        if enough and trial.ways[0].options == () and int(right[place].sum()) <= first:
            return False
        return place == best or compare(right[place], right[best]) >= _HOPELESS

    return [place for place in left if is_open(place)]


def _best_right(trial: FeedTrial, place: int) -> NDArray[np.bool_]:
    """Return which answers of a way are right, under the labels as they are or in another order."""
    as_named = trial.right[place]
    renamed = right_in_other_order(trial.answers[place], trial.truth)
    return renamed if renamed.sum() > as_named.sum() else as_named


def _answer(classifier: Classifier, way: Way, pixels: NDArray[np.uint8]) -> int:
    """Return the class; all ways share one interpreter, since a small board has no memory for several."""
    classifier.normalization, classifier.color = way.normalization, way.color
    return classifier.classify_pixels(pixels, 1).best.index
