"""A model file in, predictions out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .card import InputSpec, Preprocess
from .errors import CardError, ModelFileError
from .image import load_image, to_input, to_rgb
from .labels import check_label_count
from .modelfile import ModelFile, Normalization
from .runtime import load_interpreter
from .tensors import TensorSpec, check_shapes, to_probabilities, to_tensor

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Score:
    """One class and its probability, 0..1."""

    label: str
    index: int
    score: float


@dataclass(frozen=True)
class Prediction:
    """The best classes, best first; `unknown` when the best is below the card's threshold.

    `probabilities` is float32 [classes]; `infer_ms` the time from input tensor to probabilities.
    """

    top: tuple[Score, ...]
    unknown: bool
    probabilities: NDArray[np.float32]
    infer_ms: float

    @property
    def best(self) -> Score:
        """The class with the highest probability."""
        return self.top[0]


def top_scores(probabilities: NDArray[np.float32], labels: tuple[str, ...], count: int) -> tuple[Score, ...]:
    """Return the `count` highest classes, best first; of equal ones the lower index comes first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple(Score(labels[i], int(i), float(probabilities[i])) for i in order)


class Classifier:
    """A loaded model and the contract it came with. Not thread-safe: use one per thread.

    `name` is the file's name without its suffix, and stands in results.
    """

    def __init__(
        self,
        file: ModelFile,
        labels: tuple[str, ...] | None = None,
        normalization: Normalization | None = None,
        threads: int = 1,
    ) -> None:
        """Load `file` into the interpreter; see `from_file`."""
        self.file = file
        self.name = file.path.stem
        if file.card is not None and (labels is not None or normalization is not None):
            raise ModelFileError(
                f"{file.path} carries its own labels and preprocessing: --labels and --normalization are for "
                "models that carry none"
            )
        interpreter = load_interpreter(file.path, threads)
        try:
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except ValueError as error:  # A tensor's name that is not UTF-8.
            raise ModelFileError(f"{file.path} is damaged: its tensors cannot be read ({error})") from None
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelFileError(
                f"{file.path} is not an image classifier: it has {len(inputs)} inputs and {len(outputs)} "
                "outputs, and a classifier has one of each"
            )
        self._interpreter = interpreter
        self.input, self.output = TensorSpec.from_details(inputs[0]), TensorSpec.from_details(outputs[0])
        check_shapes(file.path, self.input, self.output)
        self.labels = _choose_labels(file, labels, self.classes)
        self.spec, self.preprocess = self._contract()
        self.normalization = _choose_normalization(file, self.input, normalization)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        labels: tuple[str, ...] | None = None,
        normalization: Normalization | None = None,
        threads: int = 1,
    ) -> Classifier:
        """Load a .tflite file.

        A file made by edge-convert needs nothing else. For others, `labels` and `normalization` say
        what the file does not. Raises ModelFileError (CardError, LabelError) when the file is
        damaged, is no image classifier, or something that it does not say is missing.
        """
        return cls(ModelFile.read(Path(path)), labels, normalization, threads)

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return self.output.shape[-1]

    @property
    def threshold(self) -> float | None:
        """The probability below which the answer is "unknown"; None where the card has none."""
        return self.file.card.output.threshold if self.file.card else None

    def classify(self, image: Image.Image | str | Path, top: int = 3) -> Prediction:
        """Classify a picture, given as an Image or a path; raises ImageError, or as classify_pixels."""
        picture = to_rgb(image) if isinstance(image, Image.Image) else load_image(Path(image))
        return self.classify_pixels(to_input(picture, self.spec, self.preprocess), top)

    def classify_pixels(self, pixels: NDArray[np.uint8], top: int = 3) -> Prediction:
        """Classify uint8 pixels [height, width, 3], RGB, already at the input's size.

        Raises ModelFileError when the model fails or its output holds values that are no numbers.
        """
        started = time.perf_counter()
        self._interpreter.set_tensor(self.input.index, to_tensor(pixels, self.input, self.normalization))
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(f"{self.file.path} cannot be run ({reason})") from None
        stored = self._interpreter.get_tensor(self.output.index).reshape(-1)
        probabilities = to_probabilities(
            stored, self.output.scale, self.output.zero_point, self.file.gives_probabilities
        )
        elapsed = (time.perf_counter() - started) * 1000
        if not np.isfinite(probabilities).all():
            raise ModelFileError(f"{self.file.path} gives values that are no numbers (NaN or infinite)")
        scores = top_scores(probabilities, self.labels, top)
        unknown = self.threshold is not None and scores[0].score < self.threshold
        return Prediction(scores, unknown, probabilities, elapsed)

    def _contract(self) -> tuple[InputSpec, Preprocess]:
        _, height, width, _ = self.input.shape
        card = self.file.card
        if card is None:
            return InputSpec(height, width, "uint8"), Preprocess()
        promised = (1, card.input.height, card.input.width, 3)
        if promised != self.input.shape or card.input.dtype != self.input.dtype:
            raise CardError(
                f"{self.file.path}: the card promises input {promised} {card.input.dtype}, and the model "
                f"takes {self.input.shape} {self.input.dtype}. Convert it again"
            )
        if card.output.dtype != self.output.dtype:
            raise CardError(
                f"{self.file.path}: the card promises {card.output.dtype} output, and the model gives "
                f"{self.output.dtype}. Convert it again"
            )
        return card.input, card.preprocess


def load_classifiers(
    paths: Sequence[Path],
    labels: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
    threads: int = 1,
) -> list[Classifier]:
    """Load several files; `labels` and `normalization` go to those that have no card.

    Where two files have the same name, all are called by their whole paths.

    Raises as Classifier.from_file does, also when they are given and every file has a card.
    """
    files = [ModelFile.read(path) for path in paths]
    all_carded = all(file.card is not None for file in files)
    classifiers = [
        Classifier(file, labels, normalization, threads)
        if file.card is None or all_carded
        else Classifier(file, threads=threads)
        for file in files
    ]
    if len({classifier.name for classifier in classifiers}) < len(classifiers):
        for classifier in classifiers:
            classifier.name = str(classifier.file.path)
    return classifiers


def _choose_labels(file: ModelFile, given: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
    labels = given or file.labels
    if labels is None:
        return tuple(f"class {i}" for i in range(classes))
    check_label_count(labels, classes, f"--labels for {file.path}" if given else str(file.path))
    return labels


def _choose_normalization(
    file: ModelFile, tensor: TensorSpec, given: Normalization | None
) -> Normalization | None:
    """Return what to apply to pixels, or None to feed them as they are.

    A card means that scaling is inside the graph. A uint8 input takes raw pixels whatever the
    metadata says, as MediaPipe and Task Library do. A float input that says nothing is not guessed.
    """
    if file.card is not None:
        return None
    if given is not None:
        return given
    if tensor.dtype == "uint8":
        return None
    if tensor.dtype == "float32" and file.normalization is None:
        raise ModelFileError(
            f"{file.path} takes float input and does not say how pixels are scaled. Give --normalization "
            "0..255, 0..1, -1..1 or MEAN,STD, as the model was trained"
        )
    return file.normalization
