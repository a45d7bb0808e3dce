"""The data set of a run: read, audited, split, and decoded for every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.split import SUBSETS, Split
from ..edge.card import Preprocess
from ..edge.console import say
from ..edge.errors import DatasetError
from ..edge.files import write_atomically
from ..edge.image_labels.source import scan_labelled
from ..edge.labelled import LabelledFolder, is_text
from .audit import audit_images
from .backbones import BACKBONES
from .built_in import BUILT_IN, write_built_in
from .cache import Cache
from .findings import Audit
from .image_facts import ImageFacts
from .options import TrainOptions
from .output import AUDIT, IMAGES
from .pixels import DecodedImages, choose_image_size, decode_images, typical_side
from .splitting import DatasetImage, Shares, list_images, make_split

if TYPE_CHECKING:  # Measuring it needs TFLite, which an audit alone does not need.
    from .label_keeping import LabelKeeping

# Images that are not for testing; of more, a tenth is enough for choosing the best epoch.
MANY_IMAGES = 5000


@dataclass(frozen=True)
class Examples:
    """Rows of `pixels`, uint8 [n, size, size, 3], and their class indices `truth`, int64 [rows]."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]

    def joined(self, other: Examples) -> Examples:
        """Return these and `other` images, by ascending rows; raises ValueError for those of other pixels."""
        if self.pixels is not other.pixels:
            raise ValueError("examples of two arrays of pixels cannot be joined")
        rows, truth = np.concatenate([self.rows, other.rows]), np.concatenate([self.truth, other.truth])
        order = np.argsort(rows, kind="stable")
        return Examples(self.pixels, rows[order], truth[order])

    def first(self, count: int) -> Examples:
        """Return the first `count` images."""
        return Examples(self.pixels, self.rows[:count], self.truth[:count])


@dataclass(frozen=True)
class AuditedData:
    """A data set that was read and audited; `options` contain all image sizes and shares.

    `root_as_given` is the root in split.json. `images` and the rows of `decoded` have the same order.
    """

    name: str
    root_as_given: str
    found: LabelledFolder
    images: list[DatasetImage]
    decoded: DecodedImages
    audit: Audit
    shares: Shares
    options: TrainOptions


@dataclass(frozen=True)
class PreparedData:
    """A split data set and its pixels by input size; `rows[subset]` index pixels, `truth` and `facts`.

    `pool`, int64 [images], are the rows whose activations are computed together, because other splits of the
    same data set need them too; None where this is the only one.
    `keeping` is what was measured about the labels of changed images, empty where nothing was, and `augment`
    the augmentations that were chosen by it; None: those of the options.
    """

    name: str
    split: Split
    pixels: Mapping[int, NDArray[np.uint8]]
    rows: dict[str, NDArray[np.int64]]
    truth: NDArray[np.int64]
    facts: tuple[ImageFacts, ...]
    pool: NDArray[np.int64] | None = None
    keeping: tuple[LabelKeeping, ...] = ()
    augment: tuple[str, ...] | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of the rows of `pixels`, relative to the root of the data set, with "/"."""
        return tuple(fact.path for fact in self.facts)

    def examples(self, subset: str, size: int) -> Examples:
        """Return the images of "train", "validation" or "test", decoded to `size`."""
        return self._examples(self.rows[subset], size)

    def pooled(self, size: int) -> Examples | None:
        """Return the images of `pool`, decoded to `size`."""
        return None if self.pool is None else self._examples(self.pool, size)

    def _examples(self, rows: NDArray[np.int64], size: int) -> Examples:
        return Examples(self.pixels[size], rows, self.truth[rows])


def prepare_audit(
    data: str, staging: Path, cache: Cache, options: TrainOptions, audit_only: bool = False
) -> AuditedData:
    """Read and audit `data`, a folder or the name of a built-in set, and complete the options.

    Writes staging/audit.json, and the images of built-in sets below `staging`; with `audit_only` no pixels
    are kept. Raises DatasetError for unusable data, WeightsError and OptionError if a network could not be
    built later.
    """
    root, name = _find_root(data, staging)
    found = scan_labelled(root, options.label_source)
    for remark in found.remarks:
        say(remark)
    images = list_images(found)
    paths = [image.path for image in images]
    options = _choose_sizes(options, paths)
    sizes = set() if audit_only else set(options.image_size.values())
    if not audit_only:
        _require_weights(options)
    decoded = decode_images(root, paths, sizes, Preprocess(options.resize), cache)
    for fact in decoded.facts:
        if fact.reason is not None:
            say(f"skipped {root / fact.path}: {fact.reason}")
    labels, subsets = [image.label for image in images], [image.subset for image in images]
    audit = audit_images(decoded.facts, labels, subsets, options.duplicates == "near")
    write_atomically(staging / AUDIT, audit.to_json())
    if not audit_only:  # With it the summary is the result, and goes to stdout.
        for line in audit.summary():
            say(line)
    shares = _choose_shares(options.validation_split, options.test_split, images, decoded.facts)
    options = replace(options, validation_split=shares.validation)
    return AuditedData(
        name, IMAGES if data in BUILT_IN else data, found, images, decoded, audit, shares, options
    )


def split_audited(data: AuditedData) -> PreparedData:
    """Split the data set, and tell the user the numbers of images.

    Raises DatasetError, which names the class, when a class has too few images to split.
    """
    facts = data.decoded.facts
    audit, seed = data.audit, data.options.seed
    split = make_split(
        data.found, data.images, facts, audit.groups, data.root_as_given, data.shares, seed, audit.twin_groups
    )
    _describe(data.name, split)
    return prepare_split(data, split)


def decode_again(data: AuditedData, options: TrainOptions, cache: Cache) -> AuditedData:
    """Return the same data set, decoded to the image sizes of other options.

    Raises DatasetError as decode_images does.
    """
    paths, sizes = [image.path for image in data.images], set(options.image_size.values())
    decoded = decode_images(data.found.root, paths, sizes, Preprocess(options.resize), cache)
    return replace(data, decoded=decoded, options=options)


def with_side(prepared: PreparedData, data: AuditedData, side: int, cache: Cache) -> PreparedData:
    """Return the images of a split of `data`, decoded to `side` too. Raises DatasetError as decode_images."""
    if side in prepared.pixels:
        return prepared
    paths, preprocess = [image.path for image in data.images], Preprocess(data.options.resize)
    decoded = decode_images(data.found.root, paths, {side}, preprocess, cache)
    return replace(prepared, pixels={**prepared.pixels, **decoded.pixels})


def prepare_split(data: AuditedData, split: Split, pool: NDArray[np.int64] | None = None) -> PreparedData:
    """Return the images of a split of `data`, with their pixels."""
    facts = data.decoded.facts
    row_of = {fact.path: row for row, fact in enumerate(facts)}
    rows = {
        subset: np.array([row_of[image.path] for image in split.images if image.subset == subset], np.int64)
        for subset in SUBSETS
    }
    index = {label: i for i, label in enumerate(data.found.labels)}
    truth = np.array([index[image.label] for image in data.images], np.int64)
    return PreparedData(data.name, split, data.decoded.pixels, rows, truth, facts, pool)


def _choose_sizes(options: TrainOptions, paths: list[Path]) -> TrainOptions:
    side = typical_side(paths)
    fast = options.preset == "fast"
    sizes = {m: options.image_size.get(m) or choose_image_size(m, side, fast) for m in options.models}
    return replace(options, image_size=sizes)


def _require_weights(options: TrainOptions) -> None:
    """Fail before the long work when the weights of a network are not available."""
    from .weights import build_base  # It loads Keras, which an audit alone does not need.

    for model in filter(BACKBONES.get, options.models):
        build_base(model, options.weights, options.image_size[model], options.alpha)


def _choose_shares(
    validation: float | None, test: float, images: list[DatasetImage], facts: tuple[ImageFacts, ...]
) -> Shares:
    """Return the shares; without a given one, validation gets 0.2 of up to 5,000 other images, else 0.1."""
    if validation is not None:
        return Shares(validation, test)
    given = [image.subset for image, fact in zip(images, facts, strict=True) if fact.reason is None]
    kept = len(given) - given.count("test") if "test" in given else len(given) * (1 - test)
    return Shares(0.2 if kept < MANY_IMAGES else 0.1, test)


def _find_root(data: str, staging: Path) -> tuple[Path, str]:
    """Return the folder of the images, and the name of the data set."""
    if data in BUILT_IN:
        write_built_in(data, staging / IMAGES)
        return staging / IMAGES, data
    root, name = Path(data), Path(data).resolve().name
    if not is_text(f"{root}{name}"):
        raise DatasetError(f"The name of the folder {root} is not valid UTF-8. Rename it")
    return root, name


def _describe(name: str, split: Split) -> None:
    """Tell the user the numbers of images, and the limits of the accuracy that will be measured."""
    counts = split.counts()
    parts = ", ".join(f"{sum(counts[subset].values()):,} {subset}" for subset in SUBSETS)
    say(f"{name}: {len(split.images):,} images in {len(split.labels)} classes ({parts})")
    if split.left_out:
        say(f"Images left out, for the reasons in split.json: {len(split.left_out):,}")
    _warn_of_few(split, counts["train"])
    measured = split.evaluation_subset
    if measured == "validation":
        say("No untouched test set exists: accuracy will be measured on the validation images")
    if absent := [label for label, count in counts[measured].items() if count == 0]:
        say(f"The {measured} images show nothing of {', '.join(absent)}: accuracy ignores these classes")


def _warn_of_few(split: Split, train: Mapping[str, int]) -> None:
    """Warn where fewer images are left to train on than are held out."""
    left = sum(train.values())
    if 2 * left >= len(split.images):
        return
    smallest = min(train, key=train.__getitem__)
    say(
        f"Few images are left to train on: {left:,} of {len(split.images):,}, and {train[smallest]:,} of "
        f"class {smallest}. Lower --validation-split and --test-split, or add training images",
        "warning",
    )
