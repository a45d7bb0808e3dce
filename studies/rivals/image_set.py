"""A set of labelled photos with training and test images on two sides; and samples of large ones."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import click
from edge_classify.edge.labelled import LabelledImage, scan_class_folders


@dataclass(frozen=True)
class ImageSet:
    """The photos of `root`/train and `root`/test, in class folders; `labels` are in natural order.

    Each side is a list of its own, so that a recipe can be given the one and not the other.
    """

    name: str
    root: Path
    labels: tuple[str, ...]
    training: tuple[LabelledImage, ...]
    test: tuple[LabelledImage, ...]

    def names(self) -> list[str]:
        """Return the paths of the test images below the set's folder, such as "test/glass/glass_0011.jpg"."""
        return [image.path.relative_to(self.root).as_posix() for image in self.test]


def read_set(name: str, root: Path) -> ImageSet:
    """Read a set; raises DatasetError, and UsageError where it has no test images of its own."""
    if not ((root / "train").is_dir() and (root / "test").is_dir()):
        raise click.UsageError(
            f"{root} must hold the folders train and test, with class folders in both. Move test images into "
            "the second"
        )
    training, test = scan_class_folders(root / "train"), scan_class_folders(root / "test")
    if training.labels != test.labels:
        differing = ", ".join(sorted(set(training.labels) ^ set(test.labels)))
        raise click.UsageError(f"{root}: train and test must hold the same classes. Only in one: {differing}")
    return ImageSet(
        name,
        root,
        training.labels,
        tuple(training.images(training.evaluation_subset)),
        tuple(test.images(test.evaluation_subset)),
    )


def draw_sample(whole: ImageSet, per_class: int, seed: int, folder: Path) -> ImageSet:
    """Copy `per_class` images of each class and side into `folder`, the same ones for the same seed.

    A folder that is there already is taken as it is. Raises UsageError where a class has fewer.
    """
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        for side, images in (("train", whole.training), ("test", whole.test)):
            for label in whole.labels:
                paths = [image.path for image in images if image.label == label]
                if len(paths) < per_class:
                    raise click.UsageError(
                        f"{whole.root / side}: {label} has {len(paths)} images. --per-class wants {per_class}"
                    )
                target = unfinished / side / label
                target.mkdir(parents=True)
                for path in sorted(random.Random(f"{seed} {side} {label}").sample(paths, per_class)):
                    shutil.copyfile(path, target / path.name)
        unfinished.rename(folder)
    return read_set(whole.name, folder)
