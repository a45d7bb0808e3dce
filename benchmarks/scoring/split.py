"""split.json: the subset of each image of a data set, so that every later stage uses the same split."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from ...edge.errors import DatasetError, ImageError
from ...edge.files import write_atomically
from ...edge.inner_files import (
    UnsafePathError,
    find_links,
    inner_path,
    require_inner,
    require_plain,
    require_regular,
)
from ...edge.json_files import JsonError, read_json, structured
from ...edge.labelled import LabelledImage, is_label

FILE_NAME = "split.json"
SUBSETS = ("train", "validation", "test")
_MOST_BYTES, _MOST_VALUES = 2**30, 50_000_000  # Of more than four million images.
_MOST_IMAGE_BYTES = 2**30
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class SplitImage:
    """One image: its path relative to the root with "/", the hash of its bytes, its class, and its subset."""

    path: str
    sha256: str
    label: str
    subset: str


@dataclass(frozen=True)
class SkippedImage:
    """A file that is not used, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Split:
    """The images of a data set, their subsets, and the files that are in none.

    `root` is the folder of the data set as the user gave it, or "images" inside the run for the built-in data
    sets. `skipped` files could not be read. The files `left_out` could be read, but would falsify the
    measured accuracy: twins of test images, or the same file under several labels.
    """

    root: str
    labels: tuple[str, ...]
    images: tuple[SplitImage, ...]
    skipped: tuple[SkippedImage, ...] = ()
    left_out: tuple[SkippedImage, ...] = ()

    def subset(self, name: str, root: Path) -> list[LabelledImage]:
        """Return the images of "train", "validation" or "test", as files under `root`."""
        return [LabelledImage(root / i.path, i.label, i.sha256) for i in self.images if i.subset == name]

    @property
    def evaluation_subset(self) -> str:
        """ "test", or "validation" when no images were kept for testing."""
        return "test" if any(image.subset == "test" for image in self.images) else "validation"

    @property
    def sha256(self) -> str:
        """Hash of the paths, contents, labels and subsets, but not of the root."""
        rows = [[image.path, image.sha256, image.label, image.subset] for image in self.images]
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of images of each subset and label."""
        pairs = Counter((image.subset, image.label) for image in self.images)
        return {s: {label: pairs[s, label] for label in self.labels} for s in SUBSETS}

    def write(self, run: Path) -> None:
        """Write RUN/split.json."""
        write_atomically(run / FILE_NAME, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, run: Path) -> Split:
        """Read RUN/split.json, which may be anybody's.

        Raises DatasetError if it is missing or malformed, or names an image outside of its root.
        """
        try:
            split = structured(cls, read_json(run, FILE_NAME, most=_MOST_BYTES, most_values=_MOST_VALUES))
            _check(split)
        except FileNotFoundError:
            raise DatasetError(f"{run} is not a run of edge-train: it holds no {FILE_NAME}") from None
        except JsonError as error:
            raise DatasetError(
                f"{run / FILE_NAME} cannot be used: {error}. Take the file that edge-train wrote"
            ) from None
        return split

    def find_root(self, run: Path, override: Path | None, remedy: str) -> Path:
        """Return the folder of the images: inside the run, else where they were, or `override`.

        Raises DatasetError, which ends with `remedy`, if there is no such folder, or if it lies in the run
        and holds a link: a run may come from an archive, and its links may lead anywhere.
        """
        if override is not None and override.is_dir():
            return override
        if override is None:
            inside = PurePath(self.root)
            if not inside.is_absolute() and ".." not in inside.parts and (run / inside).is_dir():
                _require_no_links(run, self.root, remedy)
                return run / inside
            if Path(self.root).is_dir():
                return Path(self.root)
        raise DatasetError(
            f"The images of {run} are not in {str(override or self.root)!r}, as seen from here. {remedy}"
        )


def read_labelled(image: LabelledImage) -> bytes:
    """Return the bytes of the file.

    Raises ImageError for anything but a regular file, and if it cannot be read or has another hash.
    """
    try:
        require_regular(image.path)
        with image.path.open("rb") as file:
            raw = file.read(_MOST_IMAGE_BYTES + 1)
    except UnsafePathError as error:
        raise ImageError(f"{image.path} {error}") from None
    except OSError as error:
        raise ImageError(f"{image.path} cannot be read ({error.strerror})") from None
    if len(raw) > _MOST_IMAGE_BYTES:
        raise ImageError(f"{image.path} is larger than {_MOST_IMAGE_BYTES // 2**20} MiB: it is no picture")
    if image.sha256 is not None and hashlib.sha256(raw).hexdigest() != image.sha256:
        raise ImageError(f"{image.path} has changed since training: its checksum differs from {FILE_NAME}'s")
    return raw


def _check(split: Split) -> None:
    """Raise JsonError for what edge-train does not write, and what would be unsafe or wrong to use."""
    labels = set(split.labels)
    _require("labels", split.labels, len(labels) == len(split.labels), "has a class twice")
    for number, label in enumerate(split.labels):
        _require(f"labels[{number}]", label, label and is_label(label), "cannot name a class")
    _require_path("root", split.root, require_plain)
    for number, image in enumerate(split.images):
        _require_path(f"images[{number}].path", image.path, require_inner)
        if image.label in labels and image.subset in SUBSETS and _SHA256.fullmatch(image.sha256):
            continue  # The way of nearly all, without four texts for each.
        at = f"images[{number}]"
        _require(f"{at}.sha256", image.sha256, _SHA256.fullmatch(image.sha256), "is no SHA-256")
        _require(f"{at}.label", image.label, image.label in labels, "is none of the labels")
        _require(f"{at}.subset", image.subset, image.subset in SUBSETS, f"is none of {', '.join(SUBSETS)}")


def _require(field: str, value: object, right: object, problem: str) -> None:
    if not right:
        raise JsonError(f"{field} {problem}. Received: {reprlib.repr(value)}")


def _require_path(field: str, name: str, check: Callable[[str], None]) -> None:
    try:
        check(name)
    except UnsafePathError as error:
        raise JsonError(f"{field} {error}. Received: {reprlib.repr(name)}") from None


def _require_no_links(run: Path, root: str, remedy: str) -> None:
    try:
        link = next(find_links(inner_path(run, root)), None)
    except UnsafePathError as error:
        raise DatasetError(f"{run / root} {error}. {remedy}") from None
    if link is not None:
        raise DatasetError(
            f"{link} is a link, and links inside a run are not followed. Put the picture there. {remedy}"
        )
