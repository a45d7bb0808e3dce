"""Checks a model on labelled images: how often it is right, and with which input it is right more often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from ..card import Accuracy, ModelCard
from ..classifier import Classifier
from ..errors import DatasetError, EdgeClassifyError
from ..labelled import LabelledImage, scan_class_folders
from ..statistics.proportions import binomial_tail
from .feeding import FeedTrial, compare, try_ways, ways_to_feed
from .finding import ERROR, OK, WARNING, Finding

MAX_IMAGES = 200
# The probability with which chance alone may lead to a verdict.
_LEVEL = 0.01
_COLLAPSED = 0.9  # Of all answers, with three classes or more.
_NAMES_SHOWN = 5
_BGR = (
    "This model wants BGR, the order of cv2.imread. Train it again with RGB, as edge-train does, or put "
    "a layer before it that exchanges the channels, and convert that"
)
_HARDER = "Check whether these images are harder than those of its card; train with images like them"


def check_labelled(
    classifier: Classifier, scaling_known: bool, folder: Path, seconds: float
) -> Iterator[Finding]:
    """Classify a sample of `folder` for about `seconds`, also with other inputs, and compare with the card.

    If `scaling_known` is False, nothing says how the model wants pixels scaled, and the check finds it out.
    `classifier` is changed.
    """
    name = f"model {Path(classifier.file.name).name}: on {folder.name}"
    try:
        images = sample_images(folder)
        trial = try_ways(classifier, ways_to_feed(classifier, scaling_known), images, seconds)
    except DatasetError as error:
        remedy = "Name a folder that holds a folder of images for each label"
        yield Finding("labelled images", ERROR, str(error), remedy)
        return
    except EdgeClassifyError as error:
        yield Finding(name, ERROR, str(error), "Convert it again")
        return
    yield from _check_names(name, images, trial.labels)
    if trial.truth.size == 0:
        detail = "there is no readable image whose label the model knows"
        yield Finding(name, ERROR, detail, "Name another folder")
    elif scaling_known:
        yield _judge(name, trial, classifier.file.card)
    else:
        yield _recommend(name, trial)


def sample_images(folder: Path, limit: int = MAX_IMAGES) -> list[LabelledImage]:
    """Return up to `limit` images, from all classes in turn, and spread evenly over the files of each class.

    They come from the part of `folder` that edge-benchmark scores: test/, or everything. Raises
    DatasetError if there are none.
    """
    found = scan_class_folders(folder)
    classes: dict[str, list[LabelledImage]] = {}
    for image in found.images(found.evaluation_subset):
        classes.setdefault(image.label, []).append(image)
    share = -(-limit // len(classes))
    rows = [images[:: max(1, len(images) // share)][:share] for images in classes.values()]
    return [image for image in chain.from_iterable(zip_longest(*rows)) if image is not None][:limit]


def _check_names(name: str, images: Sequence[LabelledImage], known: Sequence[str]) -> Iterator[Finding]:
    strange = sorted({image.label for image in images} - set(known))
    if strange:
        yield Finding(
            f"{name}: labels",
            ERROR,
            f"the model does not know {_some(strange)}; it knows {_some(known)}",
            "Rename the folders to the labels of the model, or give the right --labels",
        )


def _recommend(name: str, trial: FeedTrial) -> Finding:
    """Recommend an input for a model with unknown scaling: the one with which it is right most often."""
    best, second = (int(place) for place in np.argsort(-trial.right.sum(axis=1), kind="stable")[:2])
    detail = "; ".join(f"{way.name}: {trial.rate(place)}" for place, way in enumerate(trial.ways))
    remedy = f"Give {trial.ways[best].name}"
    if trial.p_value(best, second) > _LEVEL:
        return Finding(name, WARNING, f"{detail}: too close to be sure", f"{remedy}, or try more images")
    return Finding(name, ERROR, detail, remedy)


def _judge(name: str, trial: FeedTrial, card: ModelCard | None) -> Finding:
    """Find what makes a model with known scaling wrong, if anything does."""
    measured = f"right on {trial.rate(0)}"
    best = int(trial.right.sum(axis=1).argmax())
    # Bonferroni's correction, because the best of several ways is more likely good by chance.
    p_value = min(1.0, trial.p_value(0, best) * (len(trial.ways) - 1))
    way = trial.ways[best]
    other = f"{way.name} on {trial.rate(best)} (p = {p_value:.1g}"
    if p_value < _LEVEL:
        return Finding(name, ERROR, f"{measured}; {other})", _BGR if way.swapped else f"Give {way.name}")
    if moved := find_other_order(trial):
        remedy = "Give --labels in the order of the training of the model"
        return Finding(name, ERROR, f"{measured}; the labels are in another order: {moved}", remedy)
    index, count = Counter(trial.answers[0].tolist()).most_common(1)[0]
    if len(set(trial.truth.tolist())) > 2 and count / trial.truth.size > _COLLAPSED:
        detail = f"{measured}; it answers {trial.labels[index]!r} to {count} of them, whatever they show"
        return Finding(name, ERROR, detail, "Convert it again: its weights or its calibration are broken")
    if card is not None and card.accuracy is not None:
        return _compare_with_card(name, trial, card.accuracy)
    if best != 0:
        return Finding(name, OK, f"{measured}; {other}, which may be chance)")
    return Finding(name, OK, f"{measured}; no other input is better")


def _compare_with_card(name: str, trial: FeedTrial, accuracy: Accuracy) -> Finding:
    low, high = accuracy.top1_ci95
    detail = f"right on {trial.rate(0)}; its card says {accuracy.top1:.1%} ({low:.1%} to {high:.1%})"
    p_value = binomial_tail(int(trial.right[0].sum()), trial.truth.size, low)
    if p_value < _LEVEL:
        return Finding(name, WARNING, f"{detail}: that is not chance (p = {p_value:.1g})", _HARDER)
    return Finding(name, OK, detail)


def find_other_order(trial: FeedTrial) -> str | None:
    """Return which label stands for which, if the answers are right under other names; None if they are not.

    Half of the images of a class give its most frequent answer, and the other half test it. Two classes with
    the same answer are not another order.
    """
    answers, truth = trial.answers[0], trial.truth
    first = np.zeros(truth.size, np.bool_)
    names: dict[int, int] = {}
    for index in sorted(set(truth.tolist())):
        places = np.flatnonzero(truth == index)
        first[places[::2]] = True
        names[index] = Counter(answers[places[::2]].tolist()).most_common(1)[0][0]
    if len(set(names.values())) < len(names):
        return None
    renamed = np.array([names[index] for index in truth.tolist()])
    found, stated = (answers == renamed)[~first], (answers == truth)[~first]
    if found.sum() <= stated.sum() or compare(stated, found) > _LEVEL:
        return None
    moved = [f"{trial.labels[a]!r} is answered as {trial.labels[b]!r}" for a, b in names.items() if a != b]
    return _some(moved, quote=False)


def _some(names: Sequence[str], quote: bool = True) -> str:
    shown = [repr(name) if quote else name for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
