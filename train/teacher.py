"""A trained model that answers the views of training images, so that another one learns from its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.split import FILE_NAME, Split
from ..convert.sources.keras_model import check_card, load_keras
from ..edge.card import ModelCard
from ..edge.decoding_memory import available_bytes
from ..edge.errors import CardError, ConversionError, DatasetError, OptionError
from ..edge.inner_files import UnsafePathError, read_inner
from ..edge.modelfile import MAX_TEXT_BYTES
from ..edge.progress import progress
from .cache import ATTEMPTS, Cache
from .disk_arrays import new_array, open_array
from .frozen import run_network
from .output import BEFORE_REFIT, CARD, MODEL
from .views import ViewedImages, digest_pixels

_FILE = "answers.npy"
_BLOCK = 1 << 20
# Of the size of its file: Keras reads the weights and keeps them, LiteRT keeps them once for all interpreters
# as they were converted, and once as the processor reads them fastest.
_MEMORY = 5
_SUM_TOLERANCE = 1e-2  # Of the probabilities of one picture.


@dataclass(frozen=True)
class Teacher:
    """A classifier, with its answers in the order of the student's classes.

    `network` maps a tensor of RGB pixels 0..255, float32 [1, side, side, 3], to probabilities [1, classes].
    `order`, int64 [classes], is the place of each of the student's classes among these. `sha256` is that of
    its file, and `resize` says how its pictures became square. `split` are the images that it has learned,
    and those that have chosen its epoch; None where nobody says which these are.
    """

    name: str
    network: Callable[[Any], Any]
    side: int
    order: NDArray[np.int64]
    sha256: str
    split: Split | None
    resize: str = "stretch"

    def answers(self, viewed: ViewedImages, cache: Cache) -> NDArray[np.float32]:
        """Return probabilities for all views, float32 [views, classes], in the order of Views.places.

        `viewed` has the pixels of this teacher's side. Each view is answered once, and then found in the
        cache, whatever other views are asked for with it. Raises OptionError for a network whose answers are
        no probabilities, ConversionError for one that LiteRT cannot run, and DatasetError when the disk is
        full.
        """
        images = digest_pixels(viewed.examples)
        views = [self._answer(viewed, view, images, cache) for view in range(viewed.views.most)]
        return np.concatenate(views)[:, self.order]

    def _answer(self, viewed: ViewedImages, view: int, images: str, cache: Cache) -> NDArray[np.float32]:
        """Return the probabilities for one view of all images that have it, in the order of the teacher."""
        rows = viewed.views.rows(view)
        shape = (len(rows), len(self.order))
        key = {
            "teacher": self.sha256,
            "images": images,
            "rows": hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest(),
            "view": view,
            **(viewed.recipe() if view else {}),
            "versions": [version("tensorflow"), version("ai-edge-litert"), version("edge-classify")],
        }

        def write(folder: Path) -> None:
            array = new_array(folder / _FILE, shape, np.float32)
            with progress(f"teacher {self.name}, view {view + 1}", len(rows), "images") as advance:
                run_network(self.network, self.side, viewed.chunks(view), array, advance)
            self._check(array)
            array.flush()

        for _ in range(ATTEMPTS):
            folder = cache.make("answers", key, write)
            answers = open_array(folder / _FILE, shape, np.float32)
            if answers is not None:
                return answers
            cache.discard(folder)
        return cache.fail()

    def _check(self, answers: NDArray[np.float32]) -> None:
        """Raise OptionError for values that are no probabilities."""
        sums = answers.sum(axis=1)
        if not (
            np.isfinite(answers).all() and (answers >= 0).all() and np.allclose(sums, 1, 0, _SUM_TOLERANCE)
        ):
            raise OptionError(
                f"--teacher {self.name} gives values that are no probabilities, such as "
                f"{', '.join(f'{value:.3g}' for value in answers[0][:3])}: its training went wrong, or it "
                "does not end in softmax"
            )


def load_teacher(path: Path, labels: tuple[str, ...]) -> Teacher:
    """Load the model of an earlier run, for a student with these classes.

    `path` is its model.keras, or the folder of it. Where that model has learned from the validation images
    too, the model from before takes its place: its answers would tell what the student is validated by.

    Raises OptionError for a file that is none, for one without a card, for other classes, and for a model
    that is larger than the free memory; ConversionError and CardError for a file that cannot be used.
    """
    folder, file = (path, path / MODEL) if path.is_dir() else (path.parent, path)
    if not file.is_file():
        raise OptionError(
            f"--teacher {path}: no such file. Give the {MODEL} of an earlier run of edge-train, or the name "
            "of a network"
        )
    card = _read_card(path, folder)
    if card.training is not None and card.training.learned_validation and file.name == MODEL:
        file = folder / BEFORE_REFIT
        if not file.is_file():
            raise OptionError(
                f"--teacher {path} has learned from its validation images too, and {file}, the model from "
                "before, is missing. Copy the whole folder of the run, or train the teacher with --no-refit"
            )
    order = _order(path, card.labels, labels)
    _require_memory(path, file)
    try:
        network = load_keras(file)
        check_card(network, card, file)
    except MemoryError:
        raise OptionError(f"--teacher {path} does not fit into memory. Take a smaller network") from None
    if card.input.height != card.input.width:
        raise OptionError(
            f"--teacher {path} takes {card.input.height}x{card.input.width} pixels, and no square"
        )
    return Teacher(
        f"{folder.name}/{file.name}",
        lambda image: network(image, training=False),
        card.input.height,
        order,
        _digest(file),
        _split_of(folder, card),
        card.preprocess.resize,
    )


def _read_card(path: Path, folder: Path) -> ModelCard:
    try:
        return ModelCard.from_json(read_inner(folder, CARD, MAX_TEXT_BYTES))
    except FileNotFoundError:
        raise OptionError(
            f"--teacher {path}: there is no {CARD} beside it, which names its classes and says how it reads "
            "pictures. Give a model of edge-train, whose folder has one"
        ) from None
    except (CardError, UnsafePathError) as error:
        raise OptionError(f"--teacher {path}: {folder / CARD} cannot be used: {error}") from None
    except OSError as error:
        raise OptionError(f"--teacher {path}: {folder / CARD} cannot be read ({error.strerror})") from None


def _order(path: Path, own: tuple[str, ...], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the place of each of `labels` among the teacher's own; raises OptionError for other classes."""
    if set(own) != set(labels):
        lacking = [label for label in labels if label not in own]
        beyond = [label for label in own if label not in labels]
        parts = [
            f"{words} {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
            for words, names in (("it lacks", lacking), ("it has beside them", beyond))
            if names
        ]
        raise OptionError(
            f"--teacher {path} knows other classes than the images have: {'; '.join(parts)}. Train a teacher "
            "on these images"
        )
    return np.array([own.index(label) for label in labels], np.int64)


def _require_memory(path: Path, file: Path) -> None:
    """Raise OptionError for a model whose weights are larger than the memory that is left."""
    needed, free = _MEMORY * file.stat().st_size, available_bytes()
    if free is not None and needed > free:
        raise OptionError(
            f"--teacher {path} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
            "free. Take a smaller network, or end other programs"
        )


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise ConversionError(f"{file} cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def _split_of(folder: Path, card: ModelCard) -> Split | None:
    """Return the split that a teacher was trained on, from the run in which its folder lies."""
    if card.training is None or not (folder.parent / FILE_NAME).is_file():
        return None
    try:
        split = Split.read(folder.parent)
    except DatasetError:
        return None
    return split if split.sha256 == card.training.split_sha256 else None
