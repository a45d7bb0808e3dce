"""Whether a change of images, such as mirroring, keeps their labels: measured on the images, never assumed.

A linear probe that has only seen unchanged images is asked for held-out images, and for changed copies of
them. Where it recognises the copies as well, the change keeps the labels; where it does not, a network would
be taught that a right arrow is a left one. The difference of the two accuracies is the "affinity" of an
augmentation (Gontijo-Lopes et al., ICLR 2021), and choosing augmentations by a classifier that has not seen
them is the search of Fast AutoAugment (Lim et al., NeurIPS 2019). studies/mirroring.py has the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..edge.json_files import structured
from ..edge.statistics.paired import SIGNIFICANT
from ..edge.statistics.proportions import binomial_tail
from .linear_probe import SIDE, answer_held_out, extract_features

# Images to measure on, at most: more take seconds, and decide nothing, since the limits below are wide. Many
# classes need more: some of each.
MOST_IMAGES, MOST_IMAGES_OF_MANY, _OF_EACH = 600, 2_000, 6
ROTATION = 15.0  # Degrees; the most that augmentation.py turns images by (a test compares the two).
TOLERATED = 0.25  # Share of what the probe recognises beyond chance that may be lost in changed copies.
_OF_CLASS = 0.35  # The same for a single class, whose rate is less certain.
_SUSPECT = 0.4  # Share of the recognised images of a class whose net loss makes the class suspect.
_CONFUSED = (
    0.4  # Share of the answers within two classes that are wrong, from which on it cannot tell them apart.
)
_LEAST_CONFUSED = 3  # Wrong answers; fewer are chance.


class Effect(Enum):
    """What a change of images does to their labels."""

    KEEPS = "keeps"
    UNKNOWN = "unknown"
    CHANGES = "changes"


@dataclass(frozen=True)
class LabelKeeping:
    """The measured effect of one change ("mirroring" or "rotation") on the labels.

    `accuracy` is the share of the held-out `images` that the probe recognises, `accuracy_changed` that of
    their changed copies, both 0..1. `loss_ci90` is the 90 % interval of their difference, and `tolerated` the
    largest loss that counts as none. `worst` is the class that loses so much that this alone decides; None:
    no class does. `reason` says why an effect is unknown; it is empty elsewhere.
    """

    change: str
    effect: Effect
    images: int
    accuracy: float
    accuracy_changed: float
    loss_ci90: tuple[float, float]
    tolerated: float
    worst: str | None
    reason: str

    @property
    def keeps(self) -> bool:
        """Whether it is shown that the change keeps the labels."""
        return self.effect is Effect.KEEPS

    def describe(self) -> str:
        """Return one sentence with the figures."""
        if not self.images:
            return f"{self.reason}, so that the effect of {self.change} on the labels cannot be measured"
        low, high = (f"{limit * 100:.0f}" for limit in self.loss_ci90)
        seen = (
            f"a quick probe recognises {self.accuracy:.0%} of {self.images:,} training images, and "
            f"{self.accuracy_changed:.0%} of their {_COPIES[self.change]} copies "
            f"(loss {low} to {high} points)"
        )
        if self.effect is Effect.CHANGES:
            most = f", most of all for {self.worst}" if self.worst else ""
            return f"{seen}: {self.change} changes what the classes look like{most}"
        if self.effect is Effect.UNKNOWN:
            return f"{seen}, which does not show that {self.change} keeps the labels: {self.reason}"
        return f"{seen}: {self.change} keeps the labels"

    def to_json(self) -> dict[str, Any]:
        """Return what from_json takes."""
        return {**asdict(self), "effect": self.effect.value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LabelKeeping:
        """Return what to_json gave; raises JsonError for other values."""
        return structured(cls, values)


def measure_label_keeping(
    changes: Sequence[str],
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    truth: NDArray[np.int64],
    groups: NDArray[np.int64],
    labels: Sequence[str],
    seed: int,
) -> tuple[LabelKeeping, ...]:
    """Return the effect of each of `changes` ("mirroring", "rotation") on the labels of some images.

    `pixels` are uint8 [n, size, size, 3], of which `rows` are the images to measure on. `truth` are their
    classes, and `groups` numbers that are equal for images that show the same, both int64 [rows]. Of many
    images some are taken, of each class as many as possible alike. The same arguments give the same result on
    the same machine.
    """
    chosen = sample_images(truth, groups, seed)
    if len(np.unique(truth[chosen])) < 2:
        return tuple(_unmeasured(change) for change in changes)
    present, known = np.unique(truth[chosen], return_inverse=True)
    plain = _resize(pixels, rows[chosen])
    answers = answer_held_out(
        extract_features(plain),
        [extract_features(_CHANGES[change](plain)) for change in changes],
        known,
        groups[chosen],
        seed,
    )
    names = [labels[label] for label in present]
    return tuple(
        judge(change, known, answers.plain, changed, names)
        for change, changed in zip(changes, answers.changed, strict=True)
    )


def judge(
    change: str,
    truth: NDArray[np.int64],
    plain: NDArray[np.int64],
    changed: NDArray[np.int64],
    labels: Sequence[str],
) -> LabelKeeping:
    """Return the effect of a change, from the answers for held-out images and for changed copies of them.

    All three arrays are classes, int64 [images]. Only what the answers show decides: the loss is smaller than
    tolerated where the upper end of its interval is, and larger where the lower end is. A class of its own
    decides likewise, so that two classes that are each other's mirror image are seen among many others. A
    probe that cannot tell two classes apart cannot tell either whether the change makes one of the other.
    """
    right, right_changed = plain == truth, changed == truth
    skill = float(right.mean()) - 1 / len(labels)
    low, high = _loss_interval(right, right_changed, SIGNIFICANT)
    tolerated = TOLERATED * max(skill, 0.0)
    worst, suspect = _worst_class(truth, right, right_changed, len(labels))
    confused = _confused_pair(truth, plain, len(labels))
    effect, reason = Effect.UNKNOWN, ""
    if skill <= _deviations(SIGNIFICANT) * sqrt(float(right.mean() * (1 - right.mean())) / len(truth)):
        worst, reason = None, "it recognises too few of them to tell"
    elif worst is not None or low > tolerated:
        effect = Effect.CHANGES
    elif suspect is not None:
        worst, reason = suspect, f"the copies of {labels[suspect]} may look like another class"
    elif high >= tolerated:
        reason = f"a loss of {tolerated * 100:.0f} points is not excluded"
    elif confused is not None:
        one, other = (labels[label] for label in confused)
        reason = f"the probe hardly tells {one} from {other}, and they may be each other's copies"
    else:
        effect = Effect.KEEPS
    return LabelKeeping(
        change,
        effect,
        len(truth),
        float(right.mean()),
        float(right_changed.mean()),
        (low, high),
        tolerated,
        None if worst is None else labels[worst],
        reason,
    )


def _worst_class(
    truth: NDArray[np.int64], right: NDArray[np.bool_], right_changed: NDArray[np.bool_], classes: int
) -> tuple[int | None, int | None]:
    """Return a class that is shown to lose too much, and one that may lose too much; None: there is none.

    The first test is corrected for the number of classes. The second is not: it only prevents that a change
    is called harmless.
    """
    shown: tuple[float, int] | None = None
    suspect: tuple[float, int] | None = None
    for label in range(classes):
        members = truth == label
        before, after = right[members], right_changed[members]
        if not before.any():
            continue
        low, _ = _loss_interval(before, after, SIGNIFICANT / classes)
        lost, won = int((before & ~after).sum()), int((after & ~before).sum())
        share = (lost - won) / int(before.sum())
        if low > _OF_CLASS * before.mean():
            shown = max(shown or (0.0, label), (share, label))
        if share >= _SUSPECT and binomial_tail(won, lost + won, 0.5) < SIGNIFICANT:
            suspect = max(suspect or (0.0, label), (share, label))
    return (shown[1] if shown else None), (suspect[1] if suspect else None)


def _confused_pair(
    truth: NDArray[np.int64], plain: NDArray[np.int64], classes: int
) -> tuple[int, int] | None:
    """Return the two classes that are most taken for each other, if the probe hardly tells them apart."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (truth, plain), 1)
    wrong = np.triu(table + table.T, 1)
    right = np.add.outer(table.diagonal(), table.diagonal())
    share = np.where(wrong >= _LEAST_CONFUSED, wrong / np.maximum(wrong + right, 1), 0.0)
    one, other = np.unravel_index(int(share.argmax()), share.shape)
    return (int(one), int(other)) if share[one, other] >= _CONFUSED else None


def _loss_interval(
    right: NDArray[np.bool_], right_changed: NDArray[np.bool_], level: float
) -> tuple[float, float]:
    """Return the limits of a difference of paired proportions, each with the error probability `level`.

    Agresti and Min, Biostatistics 6 (2005), "adjusted Wald": half an image is added to each cell.
    """
    lost, won = int((right & ~right_changed).sum()), int((right_changed & ~right).sum())
    images = len(right) + 2
    difference = (lost - won) / images
    deviation = sqrt(lost + won + 1 - (lost - won) ** 2 / images) / images
    half = _deviations(level) * deviation
    return difference - half, difference + half


def _deviations(level: float) -> float:
    return NormalDist().inv_cdf(1 - level)


def sample_images(truth: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return positions of images to measure on, one of each group, of classes that have two or more.

    `truth` are classes, and `groups` numbers that are equal for images that show the same, int64 [images]. Of
    each class as many as possible alike are taken.
    """
    order = np.random.default_rng(seed).permutation(len(truth))
    _, first = np.unique(groups[order], return_index=True)
    order = order[np.sort(first)]
    members = [order[truth[order] == label] for label in np.unique(truth)]
    members = [rows for rows in members if len(rows) > 1]
    if not members:
        return order[:0]
    most = min(max(MOST_IMAGES, _OF_EACH * len(members)), MOST_IMAGES_OF_MANY)
    each = most
    while each > 2 and sum(min(len(rows), each) for rows in members) > most:
        each -= 1
    return np.sort(np.concatenate([rows[:each] for rows in members])[:most])


def _resize(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    resized = [
        Image.fromarray(pixels[row]).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for row in rows.tolist()
    ]
    return np.stack([np.asarray(image) for image in resized])


def _mirror(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(images[:, :, ::-1])


def _rotate(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn images by ROTATION degrees to one side and the other in turn; corners show reflections."""
    edge = SIDE // 4
    wide = np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)), "reflect")
    result = np.empty_like(images)
    for number, image in enumerate(wide):
        angle = ROTATION if number % 2 else -ROTATION
        turned = Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR)
        result[number] = np.asarray(turned)[edge:-edge, edge:-edge]
    return result


def _unmeasured(change: str) -> LabelKeeping:
    reason = "fewer than two classes have two different training images"
    return LabelKeeping(change, Effect.UNKNOWN, 0, 0.0, 0.0, (0.0, 0.0), 0.0, None, reason)


_CHANGES: Mapping[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    "mirroring": _mirror,
    "rotation": _rotate,
}
_COPIES = {"mirroring": "mirrored", "rotation": "turned"}
