"""Finds training images of a model among the scored images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ...edge.card import ModelCard
from ...edge.cores import cores
from ...edge.errors import DatasetError
from ...edge.labelled import LabelledImage
from ..results.result import MeasuredAccuracy
from .labelled import LabelledData
from .split import FILE_NAME, Split

_EXAMPLES = 10


@dataclass(frozen=True)
class KnownSplit:
    """The split of a run; `named` if the user named the run, not if it was found near a file.

    `subsets` has the subset of each hash of an image, "train" if there are several; `sha256` is the hash of
    the split itself.
    """

    subsets: Mapping[str, str]
    sha256: str
    named: bool

    @classmethod
    def of(cls, split: Split, named: bool) -> KnownSplit:
        """Index a split by the hashes of its images."""
        subsets: dict[str, str] = {}
        for subset in ("test", "validation", "train"):  # The last subset of an image counts.
            subsets |= {image.sha256: subset for image in split.images if image.subset == subset}
        return cls(subsets, split.sha256, named)


@dataclass(frozen=True)
class TrainingOverlap:
    """The numbers of scored images that a split lists as training images and as validation images.

    `own` says whether the model was trained on this split; `examples` are some of the training images.
    """

    training: int
    validation: int
    examples: tuple[str, ...]
    own: bool


def find_splits(data: LabelledData, models: Iterable[Path], run: Path | None = None) -> list[KnownSplit]:
    """Return the known splits, those that the user named first: of `run`, or of the scored run.

    Other splits are searched beside the data, and beside and above the model files, where edge-train and
    edge-convert write them. Raises DatasetError if `run` is not a run.
    """
    known = [] if run is None else [KnownSplit.of(Split.read(run), named=True)]
    if data.split is not None:
        known.append(KnownSplit.of(data.split, named=True))
    near = [data.root.resolve().parent]
    near += (folder for model in models for folder in list(model.resolve().parents)[:2])
    for folder in dict.fromkeys(near):
        if (folder / FILE_NAME).is_file():
            try:
                known.append(KnownSplit.of(Split.read(folder), named=False))
            except DatasetError:  # A file of another program with the same name.
                continue
    return known


def choose_split(card: ModelCard | None, known: Sequence[KnownSplit]) -> tuple[KnownSplit, bool] | None:
    """Return the split that the model was trained on and True, else the first named split and False.

    None if neither is known.
    """
    own = card.training.split_sha256 if card and card.training else None
    if found := next((split for split in known if split.sha256 == own), None):
        return found, True
    if found := next((split for split in known if split.named), None):
        return found, False
    return None


def hash_images(images: Sequence[LabelledImage]) -> list[str | None]:
    """Return the SHA-256 of each image, from its split or its bytes; None if it cannot be read."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(_hash, images))


def find_overlap(split: KnownSplit, own: bool, images: Sequence[tuple[str, str | None]]) -> TrainingOverlap:
    """Find the scored images, given by names and hashes, in a split.

    Only the bytes count: a copy that was saved again is not found.
    """
    used = [(name, split.subsets.get(sha256)) for name, sha256 in images if sha256 is not None]
    training = [name for name, subset in used if subset == "train"]
    validation = sum(subset == "validation" for _, subset in used)
    return TrainingOverlap(len(training), validation, tuple(training[:_EXAMPLES]), own)


def training_remark(accuracy: MeasuredAccuracy, file: str) -> str | None:
    """Return a remark for the reader of an accuracy that includes training images; None if there are none."""
    found, images = accuracy.training_images, accuracy.images
    if found is None:
        return None
    of_them = f"{found} of the {images} images of {accuracy.data}"
    such_as = f", such as {accuracy.training_examples[0]}" if accuracy.training_examples else ""
    if not accuracy.own_split:
        also = f". {of_them} are training images of the known run{such_as}" if found else ""
        return (
            f"{file} does not name the known split as its own: whether it was trained on images of "
            f"{accuracy.data} is unknown{also}"
        )
    if found:
        return f"{of_them} were used to train {file}{such_as}: its accuracy is too good"
    if accuracy.validation_images:
        return (
            f"{accuracy.validation_images} of the {images} images of {accuracy.data} are validation images, "
            f"which chose the best epoch and the threshold of {file}: its accuracy is a little too good"
        )
    return None


def _hash(image: LabelledImage) -> str | None:
    if image.sha256 is not None:
        return image.sha256
    try:
        return hashlib.sha256(image.path.read_bytes()).hexdigest()
    except OSError:
        return None
