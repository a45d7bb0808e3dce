"""Which augmentations a run uses: those asked for, or the default ones that the images allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .dataset import PreparedData
from .label_keeping import Effect, LabelKeeping, measure_label_keeping
from .linear_probe import SIDE
from .options import DEFAULT_AUGMENTATIONS


@dataclass(frozen=True)
class AugmentationChoice:
    """The augmentations of a run, what was measured to choose them, and sentences for the user."""

    names: tuple[str, ...]
    measured: tuple[LabelKeeping, ...]
    remarks: tuple[str, ...]

    def on(self, data: PreparedData) -> PreparedData:
        """Return the data set with this choice."""
        return replace(data, keeping=self.measured, augment=self.names)


def choose_augmentation(
    asked: tuple[str, ...] | None,
    data: PreparedData,
    groups: NDArray[np.int64],
    seed: int,
    known: Sequence[LabelKeeping] = (),
) -> AugmentationChoice:
    """Return the augmentations for `data`, of which only the training images are looked at.

    `asked` is the value of --augment: it is obeyed, and where it contains a flip that is not shown to keep
    the labels, a remark says so. By default (None) images are mirrored only where that is shown to keep the
    labels, and turned by a few degrees unless that is shown to change them. `groups` are the twins of the
    audit, int64 by row of the pixels, and `known` what an earlier process of the same run has measured.
    """
    if asked is None:
        measured = tuple(known) or _measure(("mirroring", "rotation"), data, groups, seed)
        return _by_measurement(*measured)
    if "flip" not in asked:
        return AugmentationChoice(asked, (), ())
    (mirroring,) = tuple(known) or _measure(("mirroring",), data, groups, seed)
    if mirroring.keeps:
        return AugmentationChoice(asked, (mirroring,), ())
    remark = f"Mirroring: on, because --augment says so; but {mirroring.describe()}"
    return AugmentationChoice(asked, (mirroring,), (remark,))


def _by_measurement(mirroring: LabelKeeping, rotation: LabelKeeping) -> AugmentationChoice:
    """Return the default, without mirroring unless it keeps the labels, without a harmful rotation."""
    left_out = set()
    remarks = [f"Mirroring: {'on' if mirroring.keeps else 'off'}; {mirroring.describe()}"]
    if not mirroring.keeps:
        left_out.add("flip")
        remarks[0] += f". To mirror nevertheless: --augment {','.join(DEFAULT_AUGMENTATIONS)}"
    if rotation.effect is Effect.CHANGES:
        left_out.add("rotation")
        remarks.append(f"Rotation: off; {rotation.describe()}")
    names = tuple(name for name in DEFAULT_AUGMENTATIONS if name not in left_out)
    return AugmentationChoice(names, (mirroring, rotation), tuple(remarks))


def _measure(
    changes: Sequence[str], data: PreparedData, groups: NDArray[np.int64], seed: int
) -> tuple[LabelKeeping, ...]:
    sizes = sorted(data.pixels)
    size = next((size for size in sizes if size >= SIDE), sizes[-1])
    train = data.examples("train", size)
    return measure_label_keeping(
        changes, train.pixels, train.rows, train.truth, groups[train.rows], data.split.labels, seed
    )
