"""Fits the output for unknown things: directions of the classes, and the score below which nothing is known.

No picture of an unknown thing is needed. Directions are the middles of k-means on the features' directions of
each class's training images (studies/unknown compares that with other scores). The operating point is chosen
by validation images, and by made-up pictures that show nothing: black, white, noise, blur, a covered lens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.predict import true_indices
from ..edge.card import UnknownOutput, unknown_label
from ..edge.console import say
from ..edge.errors import MissingPackageError
from ..edge.extras import pip_install
from ..edge.labelled import LabelledImage
from ..edge.tflite.sealing import complete_card
from .calibration import order_by_turns
from .directions import class_directions, unit_rows
from .features import Change, PictureFeatures, read_features
from .outliers import NOTHING, OUTLIERS
from .tflite.unknown_output import STEEPNESS, UnknownGraph, add_unknown_output, takes_unknown_output
from .variant import Variant

LOST = 0.02  # Of the right answers to known images.
MOST_DIRECTIONS = 8  # Of a class: more gain little, and are more likely to describe a single photo.
_SHARE_OF_BYTES = 0.05
_MADE_UP_UNKNOWN = 0.98
# Other cameras, and other days, show known things a little differently than the validation images do.
_MARGIN = 0.15  # Of the way from the plain operating point down to the made-up pictures.
_FEWEST_RIGHT, _ENOUGH_RIGHT = 10, 50
_MOST_TRAINING, _EACH_OF_MANY = 1000, 20  # Images, or so many of each class where that is more.
_MOST_VALIDATION, _MOST_PHOTOS = 1000, 40
_ROOM = 1.1  # Above the highest product that known images give, for brighter or clearer ones.
_SEED = 0
_BYTES = {"float32": 4, "float16": 2, "int8": 1}


@dataclass(frozen=True)
class OperatingPoint:
    """The score below which a picture counts as unknown, and how sure that is.

    Of right answers to images like the `images` that chose it, at most a share `lost_at_most` scores lower,
    at a confidence of 95 %: it is an order statistic of their scores, or lies below one (Wilks, Ann. Math.
    Stat. 12, 1941).
    """

    threshold: float
    images: int
    lost_at_most: float


def scores_of(found: PictureFeatures, directions: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the score of each picture, as unknown_output.py defines it: higher where it is better known."""
    cosines = (unit_rows(found.features) @ directions.T).max(axis=1).astype(np.float64)
    best = np.maximum(found.probabilities.max(axis=1).astype(np.float64), 1e-12)
    return np.asarray(cosines + np.log(best) / STEEPNESS)


def choose_operating_point(right: NDArray[np.float64], made_up: NDArray[np.float64]) -> OperatingPoint:
    """Return the operating point by the scores of right answers, of which there must be two or more.

    It is the highest score below which at most a share LOST of them lies. Of fewer than 50 that says little,
    and it is the lower prediction limit for another image, by Student's t, as if scores were normal. It is
    lowered by a margin where `made_up` pictures leave room for one.
    """
    plain = _quantile(right) if len(right) >= _ENOUGH_RIGHT else _prediction_limit(right)
    empty = float(np.quantile(made_up, _MADE_UP_UNKNOWN)) if len(made_up) else plain
    threshold = plain - _MARGIN * max(plain - empty, 0.0)
    return OperatingPoint(threshold, len(right), _lost_at_most(int((right < threshold).sum()), len(right)))


def _lost_at_most(lost: int, images: int) -> float:
    from scipy.stats import beta  # Takes a second to load.

    return float(beta.ppf(0.95, lost + 1, images - lost)) if lost < images else 1.0


def _quantile(right: NDArray[np.float64]) -> float:
    return float(np.sort(right)[math.floor(LOST * len(right))])


def _prediction_limit(right: NDArray[np.float64]) -> float:
    from scipy.stats import t  # Takes a second to load.

    width = float(t.ppf(1 - LOST, len(right) - 1)) * math.sqrt(1 + 1 / len(right))
    return float(right.mean() - width * right.std(ddof=1))


@dataclass(frozen=True)
class FittedUnknown:
    """The output for unknown things of one variant: what its graph gets, and what its card says."""

    graph: UnknownGraph
    output: UnknownOutput

    def add_to(self, variant: Variant) -> Variant:
        """Return the variant with the output, and with a card that names it."""
        recipe = variant.recipe
        flatbuffer = add_unknown_output(variant.flatbuffer, self.graph, recipe.weights)
        card = complete_card(flatbuffer, variant.card, recipe.io)
        card = replace(card, output=replace(card.output, unknown=self.output))
        return replace(variant, flatbuffer=flatbuffer, card=card)


class UnknownFitter:
    """Fits the output for unknown things to the variants of one model.

    `training` are images that the model has learned from, and `validation` others, of known classes. Each
    variant has directions and an operating point of its own, for quantizing turns the features: with the
    float ones a dynamic file took black pictures for known.
    """

    def __init__(
        self, name: str, training: Sequence[LabelledImage], validation: Sequence[LabelledImage]
    ) -> None:
        """Take the model's name, for what is said, and the images.

        Raises MissingPackageError without scikit-learn, which training needs too.
        """
        if find_spec("sklearn") is None:
            raise MissingPackageError("scikit-learn", "--unknown", pip_install("train"))
        self._name = name
        self._training = [image for image in training if image.path.is_file()]
        self._validation = [image for image in validation if image.path.is_file()][:_MOST_VALIDATION]
        self._float_features: dict[bool, PictureFeatures] = {}
        self._first_chooser: Variant | None = None
        self._said: set[str] = set()

    def fit(self, variants: Sequence[Variant], earlier: Sequence[Variant | None]) -> list[Variant]:
        """Return the variants with the output for unknown things, those that can have one.

        `earlier` are the same variants of the model from before it learned from the validation images, whose
        scores of these count; None stands for the variant itself, or, in later calls, for that of the first
        call's first variant. Why a variant has no such output is said.
        """
        lacking = self._lacking(variants[0])
        if lacking is not None:
            self._say_once(f"{self._name}: the files cannot answer unknown: {lacking}")
            return list(variants)
        count = len(self._chosen(variants[0]))
        self._say_once(f"{self._name}: learning what is unknown, from {count:,} training images")
        fitted = []
        for variant, before in zip(variants, earlier, strict=True):
            chooser = before or self._first_chooser or variant
            self._first_chooser = self._first_chooser or chooser
            found = self._fit_one(variant, chooser)
            fitted.append(variant if found is None else found.add_to(variant))
        return fitted

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            say(text)

    def _lacking(self, variant: Variant) -> str | None:
        """Return what is missing for all variants; None where nothing is."""
        labels = {image.label for image in self._training}
        missing = [label for label in variant.card.labels if label not in labels]
        if missing:
            return f"there are no training images of {missing[0]} here"
        if not self._validation:
            return "there are no validation images here"
        if not takes_unknown_output(variant.plain):
            return "the model does not end in a fully connected layer and softmax"
        return None

    def _chosen(self, variant: Variant) -> list[LabelledImage]:
        labels = variant.card.labels
        count = max(_MOST_TRAINING, _EACH_OF_MANY * len(labels))
        return order_by_turns(self._training, list(labels), _SEED)[:count]

    def _fit_one(self, variant: Variant, chooser: Variant) -> FittedUnknown | None:
        name, labels = f"{self._name}: {variant.recipe.name}", variant.card.labels
        own = self._read_training(variant, shipped=True)
        before = own if chooser is variant else self._read_training(chooser, shipped=False)
        if unreadable := len(self._chosen(variant)) - len(own.images):
            self._say_once(f"{self._name}: {unreadable} of these cannot be read, and are left out")
        truth = true_indices(own.images, labels)
        if unread := [label for number, label in enumerate(labels) if number not in truth]:
            say(f"{name} cannot answer unknown: none of the training images of {unread[0]} can be read")
            return None
        if not own.features.any():  # What int8 makes of a model that it spoils.
            say(f"{name} cannot answer unknown: its last layer reads nothing but 0")
            return None
        answers = _right_answers(self._read(chooser, self._validation, "validation"), labels)
        if len(answers.images) < _FEWEST_RIGHT:
            say(
                f"{name} cannot answer unknown: it has {len(answers.images)} validation images right, and "
                f"{_FEWEST_RIGHT} are needed to show where known things end"
            )
            return None
        made_up = self._read_made_up(variant, answers.images)
        for count in _halved(_most_directions(variant, own)):
            directions = class_directions(own.features, truth, count)
            nothing = scores_of(made_up, directions)
            known = scores_of(answers, class_directions(before.features, truth, count))
            point = choose_operating_point(known, nothing)
            passed = float((nothing >= point.threshold).mean())
            if passed <= 1 - _MADE_UP_UNKNOWN:
                break
        else:
            say(
                f"{name} takes {passed:.0%} of black, white, noisy, blurred and covered pictures for one of "
                "its classes"
            )
        largest = float((own.features @ directions.T).max()) * _ROOM
        output = UnknownOutput(unknown_label(labels), point.images, round(point.lost_at_most, 4))
        return FittedUnknown(UnknownGraph(directions, point.threshold, largest), output)

    def _read_training(self, variant: Variant, *, shipped: bool) -> PictureFeatures:
        """Return the training images by a variant; those with float weights share the first one's."""
        chosen = self._chosen(variant)
        if variant.recipe.weights == "int8":
            return self._read(variant, chosen, "training")
        if shipped not in self._float_features:
            self._float_features[shipped] = self._read(variant, chosen, "training")
        return self._float_features[shipped]

    def _read(self, variant: Variant, images: Sequence[LabelledImage], kind: str) -> PictureFeatures:
        title = f"{self._name} {variant.recipe.name}, {kind}"
        return read_features(variant.flatbuffer, variant.card, images, title)

    def _read_made_up(self, variant: Variant, images: Sequence[LabelledImage]) -> PictureFeatures:
        """Return what the variant gives for pictures that show nothing, made of some of the images."""
        photos = images[:: max(1, len(images) // _MOST_PHOTOS)][:_MOST_PHOTOS]
        title = f"{self._name} {variant.recipe.name}, made up"
        return read_features(
            variant.flatbuffer, variant.card, photos, title, [_made(kind) for kind in NOTHING]
        )


def _made(kind: str) -> Change:
    return lambda pixels, number: OUTLIERS[kind](pixels, np.random.default_rng(number))


def _right_answers(found: PictureFeatures, labels: tuple[str, ...]) -> PictureFeatures:
    """Return those of labelled pictures that are answered right."""
    right = found.probabilities.argmax(axis=1) == true_indices(found.images, labels)
    images = [image for image, kept in zip(found.images, right, strict=True) if kept]
    return PictureFeatures(found.features[right], found.probabilities[right], images)


def _most_directions(variant: Variant, training: PictureFeatures) -> int:
    """Return how many directions a class may have: at most a twentieth of the file's bytes, at least one."""
    each = int(training.features.shape[1]) * _BYTES[variant.recipe.weights] * len(variant.card.labels)
    return max(1, min(MOST_DIRECTIONS, math.floor(_SHARE_OF_BYTES * len(variant.plain) / each)))


def _halved(count: int) -> Iterator[int]:
    """Yield a number, its half, and so on down to 1."""
    while count >= 1:
        yield count
        count //= 2
