"""A model file in, predictions out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .card import InputSpec, Preprocess
from .errors import CardError, ImageError, ModelFileError, error_text
from .foreign import NO_FACTS, ForeignFacts, choose_color, choose_labels, choose_normalization, facts_of
from .modelfile import ModelFile, Normalization
from .output_meaning import Meaning, to_probabilities
from .runtime import REFUSALS, Execution, Loaded, open_interpreter
from .sources.frames import FilePicture, Picture, ReadyPicture, to_pixels
from .tensors import dequantize, read_tensors, to_tensor

if TYPE_CHECKING:  # Loaded only where a signature is required.
    from .trusted_keys import TrustedKeys

DEFAULT_EXECUTION = Execution()


@dataclass(frozen=True)
class Score:
    """One class and its probability, 0..1."""

    label: str
    index: int
    score: float


class Doubt(Enum):
    """Why none of the classes is the answer; the value is the word for it.

    UNSURE: the picture shows one of the classes, or seems to, and the likeliest is below the threshold.
    UNKNOWN: the picture looks like none of the classes; only a model with an output for that can say so.
    """

    UNSURE = "unsure"
    UNKNOWN = "unknown"


class Prediction(NamedTuple):
    """The best classes, best first, and the `doubt` where none of them is the answer.

    `probabilities` is float32 [classes], and sums to 1; `infer_ms` the time from input tensor to
    probabilities. `none_of_these` is the score of the output for unknown things; None where the model has no
    such output. Behind these classes it is one more share of 1: a class's share is its probability times
    what that leaves.
    """

    top: tuple[Score, ...]
    doubt: Doubt | None
    probabilities: NDArray[np.float32]
    infer_ms: float
    none_of_these: Score | None = None

    @property
    def best(self) -> Score:
        """The class with the highest probability."""
        return self.top[0]

    @property
    def unknown_share(self) -> float | None:
        """The value of the output for unknown things, 0..1; None where the model has none."""
        return None if self.none_of_these is None else self.none_of_these.score

    @property
    def unknown(self) -> bool:
        """Whether the picture looks like none of the classes."""
        return self.doubt is Doubt.UNKNOWN

    @property
    def unsure(self) -> bool:
        """Whether the best class is below the threshold."""
        return self.doubt is Doubt.UNSURE


def top_scores(probabilities: NDArray[np.float32], labels: tuple[str, ...], count: int) -> tuple[Score, ...]:
    """Return the `count` highest classes, best first; of equal ones the lower index comes first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return tuple(Score(labels[i], int(i), float(probabilities[i])) for i in order)


def among_classes(outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of the classes alone, float32 [..., classes], which sum to 1.

    `outputs`, float32 [..., classes + 1], end in the share of the output for unknown things.
    """
    classes = outputs[..., :-1]
    sums = classes.sum(-1, keepdims=True)
    even = np.float32(1 / classes.shape[-1])  # Of a share of 1 nothing is left that could tell them apart.
    return np.asarray(np.where(sums > 0, classes / np.maximum(sums, np.float32(1e-30)), even), np.float32)


def doubt_of(
    probabilities: NDArray[np.float32], threshold: float | None, unknown_share: float | None = None
) -> Doubt | None:
    """Return why the best of probabilities [classes] is not the answer; None where it is.

    `unknown_share` is that of the output for unknown things, which is the answer where it exceeds the share
    of every class: the first of all outputs, as other programs have it.
    """
    best = float(probabilities.max())
    if unknown_share is not None and unknown_share > best * (1 - unknown_share):
        return Doubt.UNKNOWN
    return Doubt.UNSURE if threshold is not None and best < threshold else None


class Classifier:
    """A loaded model and the contract it came with. Not thread-safe: use one per thread.

    `name` is the file's name without its suffix, and appears in results. `remarks` are sentences for the user
    about the way the model is run: a broken runtime, an unused delegate. `missing` says what this machine
    does not limit in the process of an untrusted model, see isolation.sandbox.enter.
    """

    def __init__(
        self,
        file: ModelFile,
        facts: ForeignFacts = NO_FACTS,
        execution: Execution = DEFAULT_EXECUTION,
        loaded: Loaded | None = None,
    ) -> None:
        """Load `file` into an interpreter; see `from_file`.

        `facts` are for files without a card. `loaded` is an interpreter that has loaded the file already, in
        a way that `execution` cannot express; clones open their own.
        """
        self.file = file
        self.execution = execution
        self._facts = facts
        self.name = Path(file.name).stem
        if file.card is not None and facts.options:
            raise ModelFileError(
                f"{file.name} carries its own labels and preprocessing: {', '.join(facts.options)} "
                f"{'is' if len(facts.options) == 1 else 'are'} for models that carry none"
            )
        if file.card is not None:
            facts = facts_of(file.card)
        loaded = loaded or _open(file, execution)
        self.remarks, self.missing = loaded.remarks, loaded.missing
        self._interpreter = loaded.interpreter
        self.input, self.output = read_tensors(file.name, loaded.interpreter, facts.output_index)
        self._meaning = Meaning(file.name, file.statement(self.output.number), facts.outputs)
        self.labels = choose_labels(file, facts.labels, self.classes)
        self.spec, self.preprocess = self._contract()
        self.color = choose_color(file, self.input, facts.color)
        self.normalization = choose_normalization(file, self.input, facts.normalization, self.color)

    @classmethod
    def from_file(
        cls,
        model: str | Path | bytes,
        labels: tuple[str, ...] | None = None,
        normalization: Normalization | None = None,
        execution: Execution = DEFAULT_EXECUTION,
        color: str | None = None,
        outputs: str | None = None,
        output_index: int | None = None,
    ) -> Classifier:
        """Load a .tflite: a file, or its bytes.

        A file made by edge-convert needs nothing else. For others, `labels`, `normalization`, `color`,
        `outputs` and `output_index` add what the file does not state: see `ForeignFacts`. Raises
        ModelFileError (CardError, LabelError) when the file is damaged, is no image classifier, or needs one
        of them.
        """
        source = model if isinstance(model, bytes) else Path(model)
        facts = ForeignFacts(labels, normalization, color, outputs, output_index)
        return cls(ModelFile.read(source), facts, execution)

    def clone(self) -> Classifier:
        """Return a classifier of the same file and settings with its own interpreter, for another thread."""
        return self.with_threads(self.execution.threads)

    def with_threads(self, threads: int) -> Classifier:
        """Return a classifier of the same file whose interpreter has `threads` threads."""
        twin = type(self)(self.file, self._facts, replace(self.execution, threads=threads))
        twin._meaning = self._meaning
        twin.name = self.name
        return twin

    @property
    def classes(self) -> int:
        """The number of classes; an output for unknown things is none of them."""
        return self.output.classes - (self.unknown_label is not None)

    @property
    def unknown_label(self) -> str | None:
        """What the output for unknown things is called; None where the model has none."""
        unknown = self.file.card.output.unknown if self.file.card else None
        return unknown.label if unknown else None

    @property
    def threshold(self) -> float | None:
        """The probability below which the answer is "unsure"; None where the card has none."""
        return self.file.card.output.threshold if self.file.card else None

    @property
    def size(self) -> tuple[int, int]:
        """The input's width and height."""
        return self.spec.width, self.spec.height

    def classify(
        self, image: Image.Image | NDArray[np.uint8] | str | Path | Picture, top: int = 3
    ) -> Prediction:
        """Classify a picture: a path, an Image, RGB pixels uint8 [height, width, 3], or a frame's picture.

        Raises ImageError when it cannot be read, and as classify_pixels.
        """
        return self.classify_pixels(self.to_pixels(_as_picture(image)), top)

    def to_pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """Return a picture decoded and resized, as classify_pixels takes it; raises ImageError."""
        return to_pixels(picture, self.spec, self.preprocess)

    def classify_pixels(self, pixels: NDArray[np.uint8], top: int = 3) -> Prediction:
        """Classify uint8 pixels [height, width, 3], RGB, already at the input's size.

        Raises ModelFileError when the model fails or its output holds values that are no numbers.
        """
        started = time.perf_counter()
        self.invoke(self.prepare(pixels))
        return self.answer(top, started)

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return pixels as the values of the model's input: the first step of classify_pixels."""
        return to_tensor(pixels, self.input, self.normalization, self.color)

    def invoke(self, tensor: NDArray[Any]) -> None:
        """Run the model on the values from `prepare`; raises ModelFileError when it fails."""
        try:
            self._interpreter.set_tensor(self.input.index, tensor)
            self._interpreter.invoke()
        except REFUSALS as error:
            raise self._refused(error) from None

    def answer(self, top: int, started: float) -> Prediction:
        """Return the prediction of the last `invoke`; raises as classify_pixels.

        `infer_ms` counts from `started`, of time.perf_counter().
        """
        values = self.read_output()
        if not np.isfinite(values).all():
            raise ModelFileError(f"{self.file.name} gives values that are no numbers (NaN or infinite)")
        probabilities = to_probabilities(values, self._meaning.of(values, self.output.scale))
        elapsed = (time.perf_counter() - started) * 1000
        none_of_these = None
        if self.unknown_label is not None:
            share = float(probabilities[-1])
            none_of_these = Score(self.unknown_label, len(self.labels), share)
            probabilities = among_classes(probabilities)
        doubt = doubt_of(probabilities, self.threshold, none_of_these.score if none_of_these else None)
        scores = top_scores(probabilities, self.labels, top)
        return Prediction(scores, doubt, probabilities, elapsed, none_of_these)

    def read_output(self) -> NDArray[np.float32]:
        """Return the output of the last `invoke` as real values, float32 [outputs], whatever they mean.

        Raises ModelFileError when it has another size than the model states.
        """
        try:
            stored = self._interpreter.get_tensor(self.output.index).reshape(-1)
        except REFUSALS as error:
            raise self._refused(error) from None
        if stored.size != math.prod(self.output.shape):
            raise ModelFileError(
                f"{self.file.name} gives {stored.size} values, and promised {list(self.output.shape)}"
            )
        return dequantize(stored, self.output)

    def _refused(self, error: BaseException) -> ModelFileError:
        return ModelFileError(f"{self.file.name} cannot be run ({error_text(error)})")

    def _contract(self) -> tuple[InputSpec, Preprocess]:
        card = self.file.card
        if card is None:
            layout = self.input.layout
            assert layout is not None  # check_shapes has refused all others.
            return InputSpec(layout.height, layout.width, "uint8"), Preprocess()
        promised = card.input.shape
        if promised != self.input.shape or card.input.dtype != self.input.dtype:
            raise CardError(
                f"{self.file.name}: the card promises input {promised} {card.input.dtype}, and the model "
                f"takes {self.input.shape} {self.input.dtype}. Convert it again"
            )
        if card.output.dtype != self.output.dtype:
            raise CardError(
                f"{self.file.name}: the card promises {card.output.dtype} output, and the model gives "
                f"{self.output.dtype}. Convert it again"
            )
        return card.input, card.preprocess


def load_classifiers(
    models: Sequence[Path | bytes],
    facts: ForeignFacts = NO_FACTS,
    execution: Execution = DEFAULT_EXECUTION,
    keys: TrustedKeys | None = None,
) -> list[Classifier]:
    """Load several files, or their bytes; `facts` hold for those without a card.

    With `keys` each file must be signed by one of them, and the bytes that were checked are those that run.
    Where two files have the same name, the names of all are their full paths.

    Raises as Classifier.from_file does, also when there are `facts` and every file has a card; and
    SignatureError.
    """
    files = [keys.read_model(model) if keys is not None else ModelFile.read(model) for model in models]
    all_carded = all(file.card is not None for file in files)
    classifiers = [Classifier(file, facts if all_carded else facts.on(file), execution) for file in files]
    if len({classifier.name for classifier in classifiers}) < len(classifiers):
        for classifier in classifiers:
            classifier.name = classifier.file.name
    return classifiers


def _open(file: ModelFile, execution: Execution) -> Loaded:
    if not execution.untrusted:
        return open_interpreter(file.model, execution, file.name)
    from .isolation.parent import open_isolated

    return open_isolated(file.model, execution, name=file.name)


def _as_picture(image: Image.Image | NDArray[np.uint8] | str | Path | Picture) -> Picture:
    if isinstance(image, (str, Path)):
        return FilePicture(Path(image))
    if isinstance(image, Image.Image):
        return ReadyPicture(image)
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ImageError(
                "pixels must be RGB, uint8 of [height, width, 3]. "
                f"Received: {image.dtype} of {list(image.shape)}"
            )
        return ReadyPicture(Image.fromarray(image))
    return image
