"""What is said of a model that labelled images show to be wrong: why, as far as was tried; what to type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from ..card import ModelCard
from ..statistics.chance import HasChance, Standing, against_chance, describe_chance
from .explanations import LEVEL, Explanation, explain
from .feeding import FeedTrial

_COLLAPSED = 0.9  # Of all answers, with three classes or more.
_COMPARE = (
    "Usually the labels or the images are those of another model, or the training went wrong: compare some "
    "answers with those of the program that trained it"
)
_OTHER_FOLDERS = (
    "A model of edge-train has the labels of its training: rename the folders of these images, or name "
    "its own images"
)
_OTHER_PICTURES = (
    "A model of edge-train takes RGB: red and blue of these pictures are exchanged, as where cv2.imwrite was "
    "given RGB. Write them again"
)


class StatedBy(Enum):
    """Where it is said how a model reads pictures, and may be said otherwise."""

    OPTIONS = "options of the command that was run"
    CONVERSION = "options of edge-convert, which made the file"
    TRAINING = "the training by edge-train"


def stated_by(card: ModelCard | None) -> StatedBy:
    """Return where the reading of a finished file comes from."""
    if card is None:
        return StatedBy.OPTIONS
    return StatedBy.CONVERSION if card.training is None else StatedBy.TRAINING


def remedy_for(found: Sequence[Explanation], source: StatedBy) -> str:
    """Return what to do about explanations, of which there is at least one: the options to type."""
    if source is StatedBy.TRAINING:
        return _OTHER_FOLDERS if found[0].order is not None else _OTHER_PICTURES
    verb = "Give" if source is StatedBy.OPTIONS else "Convert it again with"
    text = f"{verb} {found[0].options}"
    if len(found) > 1:
        others = "; or ".join(one.options for one in found[1:])
        text += f"; or {others}. These images cannot tell which: it is known from the training"
    return text


def collapse(trial: FeedTrial) -> str | None:
    """Return that one answer is given to nearly all images, of three classes or more; None if it is not."""
    index, count = Counter(trial.answers[0].tolist()).most_common(1)[0]
    if len(set(trial.truth.tolist())) > 2 and count / trial.truth.size > _COLLAPSED:
        return (
            f"it answers {trial.labels[index]!r} to {count} of {trial.truth.size} images, whatever they show"
        )
    return None


def images_to_explain(trial: FeedTrial) -> int:
    """Return how many images are needed, at least, before an explanation can be shown."""
    readings, images = 2 * len(trial.ways) - 1, 1
    while 2 * readings * 0.5**images >= LEVEL:
        images += 1
    return images


def diagnose(name: str, accuracy: HasChance, trial: FeedTrial, source: StatedBy) -> list[str]:
    """Return sentences about a model, called `name`; none where nothing is wrong with it.

    `accuracy` was measured on all labelled images, `trial` on a sample of them. A model that is not better
    than chance always gets sentences, another one where another reading is significantly better.
    """
    found = explain(trial)
    at_chance = against_chance(accuracy) is Standing.NOT_BETTER
    said = []
    if at_chance:
        said.append(f"{name} is not better than chance: {describe_chance(accuracy)}")
    if found:
        said.append(f"{name}: as it is read now, it is right on {trial.rate(0)}")
        said += [f"{name}: read with {one.options}: on {one.rate}" for one in found]
        said.append(f"{name}: {remedy_for(found, source)}")
    elif at_chance:
        said.append(f"{name}: {_unexplained(trial, source)}")
    return said


def _unexplained(trial: FeedTrial, source: StatedBy) -> str:
    if trial.truth.size < (needed := images_to_explain(trial)):
        return f"{trial.truth.size} images are too few to tell why: at least {needed} are needed"
    if collapsed := collapse(trial):
        return f"{collapsed}. Its weights or its calibration are broken, or its input is scaled otherwise"
    tried = [" ".join(way.options) for way in trial.ways if way.options]
    text = f"labels in another order don't explain it, nor do {', '.join(tried)}. {_COMPARE}"
    if source is StatedBy.CONVERSION:
        text += ". Other scalings are tried when it is converted again by edge-convert with --data"
    return text
