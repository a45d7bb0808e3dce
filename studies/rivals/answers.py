"""What one trained file answers to the test images of a set, kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from edge_classify.benchmarks.scoring.statistics import count_answers
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.files import write_atomically
from edge_classify.edge.json_files import JsonError, read_json, structured
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tensors import TensorSpec
from numpy.typing import NDArray

from studies.rivals.image_set import ImageSet

FILE = "answers.json"


@dataclass(frozen=True)
class EntryAnswers:
    """The answers of the file that `recipe` made of a set with `seed`.

    `images` are paths below the set's folder, and `truth` and `answers` their labels, in the same order.
    `options` are those of edge-train. `variant` is "int8" or "float32". `seconds` is the time of training,
    from the start of its process, and None for a run that was there before.
    """

    set_name: str
    recipe: str
    seed: int
    variant: str
    weights: str
    seconds: float | None
    size_bytes: int
    images: tuple[str, ...]
    truth: tuple[str, ...]
    answers: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right, bool [images]."""
        return np.array([one == other for one, other in zip(self.truth, self.answers, strict=True)], np.bool_)

    def macro_f1(self) -> float:
        """Return the mean F1 of all classes."""
        labels = sorted({*self.truth, *self.answers})
        index = {label: number for number, label in enumerate(labels)}
        truth, guess = (np.array([index[label] for label in row]) for row in (self.truth, self.answers))
        concerned = [index[label] for label in sorted(set(self.truth))]
        return float(count_answers(truth, guess, len(labels)).f1[concerned].mean())

    def write(self, folder: Path) -> None:
        """Write the file of a folder, whole or not at all."""
        write_atomically(folder / FILE, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> EntryAnswers:
        """Read the file of a folder; raises ClickException where it is damaged."""
        try:
            value: Any = read_json(folder, FILE)
            lists = {key: tuple(value[key]) for key in ("images", "truth", "answers", "options")}
            return structured(cls, {**value, **lists})
        except (JsonError, KeyError, TypeError) as error:
            raise click.ClickException(f"{folder / FILE}: {error}. Delete it, and run again") from None


def paired(answers: Sequence[EntryAnswers], images: Sequence[str]) -> NDArray[np.bool_]:
    """Return what each has right of `images`, bool [answers, images], by their paths.

    Raises ClickException for one that did not answer exactly these.
    """
    rows = []
    for one in answers:
        right = dict(zip(one.images, one.right.tolist(), strict=True))
        if sorted(right) != sorted(images):
            raise click.ClickException(
                f"{one.recipe} answered other images of {one.set_name} with seed {one.seed} than the others. "
                "Delete its folder, and run again"
            )
        rows.append([right[image] for image in images])
    return np.array(rows, np.bool_)


def ask_file(file: Path, pictures: Iterable[NDArray[np.float32]], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the label that a .tflite answers to each picture, in real values of its input."""
    interpreter = load_interpreter(file, 1)
    given = TensorSpec.from_details(interpreter.get_input_details()[0])
    output = interpreter.get_output_details()[0]["index"]
    number = interpreter.get_input_details()[0]["index"]
    found = []
    for picture in pictures:
        interpreter.set_tensor(number, _stored(picture, given)[None])
        interpreter.invoke()
        found.append(labels[int(interpreter.get_tensor(output)[0].argmax())])
    return tuple(found)


def ask_edge_classify(file: Path, images: ImageSet) -> tuple[str, ...]:
    """Return the likeliest label of each test image by the runner; "unknown" does not count as an answer."""
    classifier = Classifier.from_file(file)
    return tuple(classifier.classify(image.path).best.label for image in images.test)


def _stored(picture: NDArray[np.float32], given: TensorSpec) -> NDArray[Any]:
    if given.dtype == "float32":
        return picture
    limits = np.iinfo(given.dtype)
    stored = np.round(picture / given.scale) + given.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), given.dtype)
