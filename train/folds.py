"""The folds of a cross-validation: splits of one data set in which every image is tested exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.split import SUBSETS
from ..edge.console import say
from ..edge.errors import DatasetError
from ..edge.labelled import LabelledFolder
from .dataset import AuditedData, PreparedData, prepare_split
from .splitting import DatasetImage, make_split, split_into_folds

DEFAULT_FOLDS = 5
# With fewer images, a fifth of them are fewer than 100 test images. At 80 % right, the 95 % interval of 99
# images reaches 71 to 87 %, and that of 499 images 76 to 83 %.
FEW_IMAGES = 500
FEW_TESTED = 100


def choose_folds(option: int | None, data: PreparedData, own_test: bool) -> int:
    """Return the number of folds, 0 for no cross-validation; `option` is None where none was typed.

    The default depends on counts alone, so that a seed gives the same result on every machine: 5 for fewer
    than 500 images, of which fewer than 100 are for testing, unless the user brought test images, `own_test`.
    """
    if option is not None:
        return option if option > 1 else 0
    few = len(data.split.images) < FEW_IMAGES and len(data.rows["test"]) < FEW_TESTED
    return DEFAULT_FOLDS if few and not own_test else 0


def plan_folds(audited: AuditedData, data: PreparedData) -> list[PreparedData]:
    """Return a split for each fold, in which the images of the fold are the test images; none without folds.

    `data` is the usual split, in which all that can be used is known. A fold's other images are split into
    training and validation images by the rule of the usual split. A test/ folder of the user is in no fold:
    what it holds may have been kept apart for reasons that only the user knows, so that mixed with the others
    it would show them to the training. Images in a val/ folder validate every fold, and are not tested.

    Raises DatasetError where a fold would leave a class without training or validation images.
    """
    own = set(audited.found.subsets)
    count = choose_folds(audited.options.folds, data, "test" in own)
    if not count:
        return []
    if audited.options.teacher is not None:
        say("No cross-validation: a teacher has learned images of every fold")
        return []
    try:
        folds = _split_folds(audited, data, count)
    except DatasetError as error:
        if audited.options.folds is not None:
            raise
        say(f"No cross-validation: {error}")
        return []
    if audited.options.folds is None:
        say(
            f"Fewer than {FEW_IMAGES} images: each model will be trained {count} more times, so that every "
            "image is tested once (--folds 0 leaves that out)"
        )
    return folds


def _split_folds(audited: AuditedData, data: PreparedData, count: int) -> list[PreparedData]:
    usable = np.sort(np.concatenate([data.rows[subset] for subset in SUBSETS]))
    subset_of = np.array([audited.images[row].subset for row in usable])
    tested = usable[np.isin(subset_of, ("all", "train"))]
    validation = usable[subset_of == "validation"]
    groups = audited.audit.groups[tested]
    if count > (most := len(np.unique(groups))):
        raise DatasetError(
            f"{count} folds need at least {count} pictures to test that do not show the same, and there are "
            f"{most}. Give --folds a lower number"
        )
    images = [audited.images[row] for row in tested]
    place = split_into_folds(images, groups, count, audited.options.seed)
    _require_rest(images, groups, place, count, needed=1 + (len(validation) == 0))
    pool = np.union1d(tested, validation)
    return [_split_fold(audited, pool, tested[place == fold], validation) for fold in range(count)]


def _split_fold(
    audited: AuditedData, pool: NDArray[np.int64], held: NDArray[np.int64], validation: NDArray[np.int64]
) -> PreparedData:
    """Split the rows `pool` as if `held` and `validation` lay in a test/ and a val/ folder."""
    subsets = dict.fromkeys(pool.tolist(), "all")
    subsets |= dict.fromkeys(held.tolist(), "test") | dict.fromkeys(validation.tolist(), "validation")
    found = LabelledFolder(
        audited.found.root, audited.found.labels, {subset: {} for subset in sorted(set(subsets.values()))}
    )
    split = make_split(
        found,
        [replace(audited.images[row], subset=subset) for row, subset in subsets.items()],
        [audited.decoded.facts[row] for row in subsets],
        audited.audit.groups[pool],
        audited.root_as_given,
        audited.shares,
        audited.options.seed,
        audited.audit.twin_groups[pool],
    )
    return prepare_split(audited, split, pool)


def _require_rest(
    images: Sequence[DatasetImage],
    groups: NDArray[np.int64],
    place: NDArray[np.int64],
    count: int,
    needed: int,
) -> None:
    """Raise DatasetError if outside of a fold a class has fewer than `needed` images that differ."""
    outside: dict[str, dict[int, int]] = defaultdict(dict)
    for image, group, fold in zip(images, groups.tolist(), place.tolist(), strict=True):
        outside[image.label][group] = fold
    for label, folds in outside.items():
        most = max(Counter(folds.values()).values())
        if len(folds) - most < needed:
            pictures = "1 picture that differs" if len(folds) == 1 else f"{len(folds)} pictures that differ"
            raise DatasetError(
                f"Class {label!r} has {pictures}, and one of {count} folds would test {most} of them: too "
                "few are left to train with. Add images of the class, or change --folds (0: none)"
            )
