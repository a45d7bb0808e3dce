"""Checks a model on labelled images: how often it is right, and with which input it is right more often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from ..card import Accuracy, ModelCard
from ..channels import RGB
from ..classifier import Classifier
from ..errors import DatasetError, EdgeClassifyError
from ..image_labels.source import CLASS_FOLDERS, LabelSource, scan_labelled
from ..labelled import LabelledImage
from ..statistics.chance import Standing, against_chance, compare_with_chance
from ..statistics.proportions import binomial_tail
from .diagnosis import StatedBy, collapse, diagnose, remedy_for, stated_by
from .explanations import LEVEL, Explanation, explain
from .feeding import FeedTrial, try_ways, ways_to_feed
from .finding import ERROR, OK, WARNING, Finding

MAX_IMAGES = 200
_NAMES_SHOWN = 5
_HARDER = "Check whether these images are harder than those of its card; train with images like them"


def describe_labelled(folder: Path, source: LabelSource = CLASS_FOLDERS) -> Iterator[Finding]:
    """Say what is found in a folder of labelled images, and how; nothing where `check_labelled` will fail."""
    try:
        found = scan_labelled(folder, source)
    except DatasetError:
        return
    subset = found.evaluation_subset
    images = sum(map(len, found.subsets[subset].values()))
    part = "" if subset == "all" else f" ({subset})"
    counted = f"{folder.name}{part}: {images:,} images of {len(found.labels)} classes"
    yield Finding("labelled images", OK, "; ".join((counted, *found.remarks)))


def check_labelled(
    classifier: Classifier,
    scaling_known: bool,
    folder: Path,
    seconds: float,
    source: LabelSource = CLASS_FOLDERS,
) -> Iterator[Finding]:
    """Classify a sample of `folder` for about `seconds`, also with other inputs, and compare with the card.

    If `scaling_known` is False, nothing says how the model wants pixels scaled, and the check finds it out.
    `classifier` is changed.
    """
    name = f"model {Path(classifier.file.name).name}: on {folder.name}"
    try:
        images = sample_images(folder, source=source)
        trial = try_ways(classifier, ways_to_feed(classifier, scaling_known), images, seconds)
    except DatasetError as error:
        remedy = "Name a folder that holds a folder of images for each label, or --image-labels FILE"
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


def sample_images(
    folder: Path, limit: int = MAX_IMAGES, source: LabelSource = CLASS_FOLDERS
) -> list[LabelledImage]:
    """Return up to `limit` images, from all classes in turn, and spread evenly over the files of each class.

    They come from the part of `folder` that edge-benchmark scores: test/, or everything. Raises
    DatasetError if there are none.
    """
    found = scan_labelled(folder, source)
    return spread_sample(found.images(found.evaluation_subset), limit)


def spread_sample(images: Sequence[LabelledImage], limit: int = MAX_IMAGES) -> list[LabelledImage]:
    """Return up to `limit` of the images, from all classes in turn, and spread evenly over each class."""
    classes: dict[str, list[LabelledImage]] = {}
    for image in images:
        classes.setdefault(image.label, []).append(image)
    share = -(-limit // max(1, len(classes)))
    rows = [of_class[:: max(1, len(of_class) // share)][:share] for of_class in classes.values()]
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
    rights = trial.right.sum(axis=1)
    best = int(rights.argmax())
    # RGB is what most models take: BGR must be shown to be better.
    usual = [place for place, way in enumerate(trial.ways) if way.color == RGB]
    likely = max(usual, key=lambda place: int(rights[place]))
    if trial.p_value(best, likely) > LEVEL:
        best = likely
    detail = "; ".join(f"{way.name}: {trial.rate(place)}" for place, way in enumerate(trial.ways))
    if found := explain(trial, best):
        moved = "; ".join(f"{_reading(one, trial.labels)} on {one.rate}" for one in found)
        return Finding(name, ERROR, f"{detail}; {moved}", remedy_for(found, StatedBy.OPTIONS))
    scaling = trial.ways[best].normalization
    others = [place for place, way in enumerate(trial.ways) if way.normalization != scaling]
    second = max(others, key=lambda place: int(rights[place]))
    remedy = f"Give {trial.ways[best].name}"
    if trial.p_value(best, second) > LEVEL:
        return Finding(name, WARNING, f"{detail}: too close to be sure", f"{remedy}, or try more images")
    return Finding(name, ERROR, detail, remedy)


def _judge(name: str, trial: FeedTrial, card: ModelCard | None) -> Finding:
    """Find what makes a model with known scaling wrong, if anything does."""
    measured = f"right on {trial.rate(0)}"
    source = stated_by(card)
    if found := explain(trial):
        better = "; ".join(f"{_reading(one, trial.labels)} on {one.rate}" for one in found)
        detail = f"{measured}; {better} (p = {found[0].p_value:.1g})"
        return Finding(name, ERROR, detail, remedy_for(found, source))
    if collapsed := collapse(trial):
        remedy = "Convert it again: its weights or its calibration are broken"
        return Finding(name, ERROR, f"{measured}; {collapsed}", remedy)
    accuracy = _Sampled.of(trial)
    if against_chance(accuracy) is Standing.NOT_BETTER:
        first, *others = diagnose("it", accuracy, trial, source)
        remedy = " ".join(others).removeprefix("it: ")
        return Finding(name, ERROR, first, remedy[:1].upper() + remedy[1:])
    if card is not None and card.accuracy is not None:
        return _compare_with_card(name, trial, card.accuracy)
    return Finding(name, OK, f"{measured}; no other input is shown to be better")


@dataclass(frozen=True)
class _Sampled:
    """The accuracy on the images of a trial, compared with chance."""

    images: int
    top1: float
    chance: float | None
    above_chance_p: float | None

    @classmethod
    def of(cls, trial: FeedTrial) -> _Sampled:
        found = compare_with_chance(trial.truth, trial.answers[0])
        return cls(trial.truth.size, float(trial.right[0].mean()), found.expected, found.p_value)


def _reading(found: Explanation, labels: Sequence[str]) -> str:
    if found.order is None:
        return found.way.name
    named = zip(labels, found.order, strict=True)
    moved = [f"{new!r} is answered as {old!r}" for old, new in named if new is not None and old != new]
    text = f"the labels are in another order: {_some(moved, quote=False)}"
    return f"{found.way.name}, and {text}" if found.way.options else text


def _compare_with_card(name: str, trial: FeedTrial, accuracy: Accuracy) -> Finding:
    low, high = accuracy.top1_ci95
    detail = f"right on {trial.rate(0)}; its card says {accuracy.top1:.1%} ({low:.1%} to {high:.1%})"
    p_value = binomial_tail(int(trial.right[0].sum()), trial.truth.size, low)
    if p_value < LEVEL:
        return Finding(name, WARNING, f"{detail}: that is not chance (p = {p_value:.1g})", _HARDER)
    return Finding(name, OK, detail)


def _some(names: Sequence[str], quote: bool = True) -> str:
    shown = [repr(name) if quote else name for name in names[:_NAMES_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
