"""--model auto: of the starting points that keep a budget on this machine, the one for these images.

Of those that keep it, the few that know ImageNet best are compared on the training images: a linear probe on
their features is asked for held-out images. A starting point that is shown to be worse than the best one is
left out (McNemar's test). Among the others the one that knows ImageNet best is taken, since networks that do
transfer better on average (Kornblith, Shlens and Le, CVPR 2019).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..benchmarks.budget import Budget
from ..edge.card import Preprocess
from ..edge.errors import OptionError, WeightsError
from ..edge.files import write_atomically
from ..edge.json_files import JsonError, read_json, structured
from ..edge.labelled import LabelledImage
from ..edge.progress import progress
from ..edge.statistics.paired import SIGNIFICANT, describe_p, mcnemar
from .budget_probe import Cost, CostProbe, within_budget
from .cache import Cache
from .dataset import AuditedData, PreparedData
from .frozen import CHUNK, Divided, run_front
from .label_keeping import sample_images
from .linear_probe import answer_held_out
from .output import STARTING_POINTS
from .pixels import decode_images
from .starting_points import FAMILIES, StartingPoint
from .weights import Base, build_base

_FINALISTS = 3
_CALIBRATION = 8  # Images that may calibrate, where some cannot be read.


@dataclass(frozen=True)
class Finalist:
    """A finalist: its cost, and which of the held-out training images a linear probe on it has right."""

    cost: Cost
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class _Remarks:
    """What is read again of the record of a choice."""

    remarks: tuple[str, ...]


@dataclass(frozen=True)
class StartingPointChoice:
    """The chosen starting point, and sentences for the user that say why."""

    point: StartingPoint
    remarks: tuple[str, ...]


def choose_starting_point(
    audited: AuditedData, data: PreparedData, cache: Cache, work: Path
) -> StartingPointChoice:
    """Choose for the budget in the options of a data set, of which only training images are looked at.

    Writes what was measured into work/STARTING_POINTS. Raises OptionError where nothing keeps the budget,
    WeightsError where no weights can be had of what keeps it.
    """
    options = audited.options
    text = str(options.budget)
    budget = Budget.parse(text)
    probe = CostProbe(options, data.split.labels, _calibration_images(audited, data), work)
    with progress("measuring networks", None, "networks") as advance:
        candidates = within_budget(probe, budget, advance)
        finalists, missing = _find_finalists(candidates, probe, budget, advance)
    if not finalists:
        raise _nothing_left(text, probe, missing)
    judged = (
        _judge(finalists, audited, data, cache, probe)
        if len(finalists) > 1
        else [Finalist(probe.costs[finalists[0][0]], np.zeros(0, bool))]
    )
    chosen, reason = choose(judged)
    remarks = [
        *_remarks(text, judged, chosen, reason),
        *([_left_out(missing)] if missing else []),
    ]
    record = {**_record(text, probe, judged, chosen, missing), "remarks": remarks}
    write_atomically(work / STARTING_POINTS, json.dumps(record, indent=1) + "\n")
    return StartingPointChoice(chosen.cost.point, tuple(remarks))


def read_remarks(work: Path) -> tuple[str, ...]:
    """Return the sentences of the choice that a run has made, also in an earlier process; none without one.

    Raises OptionError for a file that edge-train does not write.
    """
    try:
        return structured(_Remarks, read_json(work, STARTING_POINTS)).remarks
    except FileNotFoundError:
        return ()
    except JsonError as error:
        raise OptionError(
            f"{work / STARTING_POINTS} cannot be used ({error}). Start again with --force"
        ) from None


def choose(judged: Sequence[Finalist]) -> tuple[Finalist, str]:
    """Return the finalist to take, and why, as the end of a sentence."""
    if len(judged) == 1:
        return judged[0], "nothing else keeps the budget, with weights that can be had"
    best = max(judged, key=lambda each: int(each.right.sum()))
    left = [each for each in judged if mcnemar(best.right, each.right).p_value >= SIGNIFICANT]
    chosen = max(left, key=lambda each: each.cost.point.top1)
    if len(left) == 1:
        return chosen, "the others are shown to be worse on these images"
    if chosen is best:
        return chosen, "it is the best on these images and knows ImageNet best of those not shown to be worse"
    difference = describe_p(mcnemar(best.right, chosen.right).p_value)
    return chosen, (
        f"it knows ImageNet best, and {best.cost.point.title} is not shown to be better on these images "
        f"({difference})"
    )


def _calibration_images(audited: AuditedData, data: PreparedData) -> list[LabelledImage]:
    rows = data.rows["train"][:: max(1, len(data.rows["train"]) // _CALIBRATION)]
    return [LabelledImage(audited.images[row].path, audited.images[row].label) for row in rows.tolist()]


def _find_finalists(
    candidates: Sequence[StartingPoint], probe: CostProbe, budget: Budget, advance: Callable[..., None]
) -> tuple[list[tuple[StartingPoint, Base]], list[tuple[StartingPoint, WeightsError]]]:
    """Return the first candidates that keep the budget, and those whose weights cannot be had.

    A file takes at least a byte for each weight of a kernel, so that the largest ones need no measuring.
    """
    finalists: list[tuple[StartingPoint, Base]] = []
    missing: list[tuple[StartingPoint, WeightsError]] = []
    for point in candidates:
        if budget.size is not None and point.kernel_weights > budget.size:
            continue
        try:
            base = build_base(point.backbone, "imagenet", point.size, point.alpha)
        except WeightsError as error:
            missing.append((point, error))
            continue
        if probe.measure(point).keeps(budget):
            finalists.append((point, base))
        advance(note=point.title)
        if len(finalists) == _FINALISTS:
            break
    return finalists, missing


def _judge(
    finalists: Sequence[tuple[StartingPoint, Base]],
    audited: AuditedData,
    data: PreparedData,
    cache: Cache,
    probe: CostProbe,
) -> list[Finalist]:
    """Ask a linear probe on the features of each finalist for the same held-out training images."""
    train, options = data.rows["train"], audited.options
    groups = audited.audit.groups[train]
    rows = train[sample_images(data.truth[train], groups, options.seed)]
    paths = [audited.images[row].path for row in rows.tolist()]
    sizes = {point.size for point, _ in finalists}
    pixels = decode_images(audited.found.root, paths, sizes, Preprocess(options.resize), cache).pixels
    _, truth = np.unique(data.truth[rows], return_inverse=True)
    judged = []
    with progress("comparing networks", len(finalists) * len(rows), "images") as advance:
        for point, base in finalists:
            features = _features(base, pixels[point.size], advance)
            answers = answer_held_out((features,), (), truth, audited.audit.groups[rows], options.seed)
            judged.append(Finalist(probe.costs[point], answers.plain == truth))
    return judged


def _features(base: Base, pixels: NDArray[np.uint8], advance: Callable[[int], None]) -> NDArray[np.float32]:
    """Return the pooled features of images, uint8 [n, side, side, 3]: float32 [n, features]."""
    inputs = keras.Input(pixels.shape[1:])
    front = keras.Model(inputs, base.network(base.scaling(inputs)))
    features = np.empty((len(pixels), *front.output_shape[1:]), np.float32)
    chunks = (pixels[start : start + CHUNK] for start in range(0, len(pixels), CHUNK))
    run_front(Divided(front, None), chunks, features, advance)
    return features


def _nothing_left(
    text: str, probe: CostProbe, missing: Sequence[tuple[StartingPoint, WeightsError]]
) -> OptionError | WeightsError:
    """Return the error where there is no finalist."""
    if missing:
        return WeightsError(f"--model auto --budget {text}: {_left_out(missing)}")
    nearest = [probe.measure(family[-1]) for family in FAMILIES]
    figures = "; ".join(f"{cost.point.title}: {cost.describe()}" for cost in nearest)
    return OptionError(
        f"--budget {text}: no starting point of --model auto keeps it on this machine. The nearest, in 8 "
        f"bits on one thread: {figures}. Give a larger budget, or train --model cnn at a small --image-size"
    )


def _left_out(missing: Sequence[tuple[StartingPoint, WeightsError]]) -> str:
    names = ", ".join(point.title for point, _ in missing)
    return f"Left out, since their weights cannot be had: {names}. For the first: {missing[0][1]}"


def _remarks(text: str, judged: Sequence[Finalist], chosen: Finalist, reason: str) -> tuple[str, ...]:
    """Return sentences for the user: what was chosen and why, and what it was chosen from."""
    point = chosen.cost.point
    lines = [f"auto: {point.text}, of {len(judged)} that keep {text} on this machine: {reason}"]
    for each in judged:
        line = f"{each.cost.point.title}: {each.cost.describe()}; ImageNet {each.cost.point.top1:.1%}"
        if len(each.right):
            line += f"; a probe recognises {each.right.mean():.1%} of {len(each.right):,} training images"
        lines.append(line)
    worst = max(judged, key=lambda each: len(each.cost.caveats)).cost.caveats  # The others say the same.
    return (
        *lines,
        *worst,
        "A board may be slower than this machine: measure the file there with edge-benchmark",
    )


def _record(
    text: str,
    probe: CostProbe,
    judged: Sequence[Finalist],
    chosen: Finalist,
    missing: Sequence[tuple[StartingPoint, WeightsError]],
) -> dict[str, Any]:
    """Return all that was measured, as the run keeps it."""
    compared = {each.cost.point: each for each in judged}
    rows = []
    for point, cost in probe.costs.items():
        right = compared[point].right if point in compared else np.zeros(0, bool)
        rows.append({**asdict(cost), "options": point.text, "images": len(right), "right": int(right.sum())})
    return {
        "budget": text,
        "chosen": chosen.cost.point.text,
        "measured": rows,
        "without_weights": [point.text for point, _ in missing],
    }
