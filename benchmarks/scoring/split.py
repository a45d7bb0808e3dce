"""split.json: the subset of each image of a data set, so that every later stage uses the same split."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import dacite

from ...edge.errors import DatasetError, ImageError
from ...edge.files import write_atomically
from ...edge.labelled import LabelledImage

FILE_NAME = "split.json"
SUBSETS = ("train", "validation", "test")


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
        """Read RUN/split.json; raises DatasetError if it is missing or malformed."""
        path = run / FILE_NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            return dacite.from_dict(cls, data, dacite.Config(cast=[tuple]))
        except FileNotFoundError:
            raise DatasetError(f"{run} is not a run of edge-train: it holds no {FILE_NAME}") from None
        except (OSError, ValueError, TypeError, dacite.DaciteError) as error:
            raise DatasetError(f"{path} cannot be used: {error}") from None

    def find_root(self, run: Path, override: Path | None, remedy: str) -> Path:
        """Return the folder of the images: inside the run, else where they were, or `override`.

        Raises DatasetError, which ends with `remedy`, if there is no such folder.
        """
        candidates = [override] if override else [run / self.root, Path(self.root)]
        for folder in candidates:
            if folder.is_dir():
                return folder
        raise DatasetError(
            f"The images of {run} are not in {str(override or self.root)!r}, as seen from here. {remedy}"
        )


def read_labelled(image: LabelledImage) -> bytes:
    """Return the bytes of the file; raises ImageError if it cannot be read or has another hash."""
    try:
        raw = image.path.read_bytes()
    except OSError as error:
        raise ImageError(f"{image.path} cannot be read ({error.strerror})") from None
    if image.sha256 is not None and hashlib.sha256(raw).hexdigest() != image.sha256:
        raise ImageError(f"{image.path} has changed since training: its checksum differs from {FILE_NAME}'s")
    return raw
