"""The model card: the contract that travels with a model through every stage.

Raw RGB bytes go in, probabilities come out; a card of format 2 says where a file that was finished elsewhere
takes or gives something else. Training writes the card beside `model.keras`, conversion
completes it and puts it inside the `.tflite`, and the runner needs nothing else. A card holds no times, host
names or absolute paths, so that the same input gives the same bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .channels import ORDERS, RGB
from .errors import CardError
from .json_files import JsonError, parse_json, structured

# 1.1 added output.threshold_precision, ece_uncalibrated, coverage and selective_accuracy; 1.2
# mean_difference, largest_difference and p_value, calibration.source and .copies, and conversion.compatible;
# 1.3 accuracy.chance, .above_chance_p, .only_float and .only_this, input.trained_color, golden.kind and
# training.cross_validation; 1.4 input.mean and .std, and output.index; 1.5 training.learned_validation; 1.6
# output.unknown, an output behind those of the labels, accuracy.unknown and .lost_to_unknown, golden.unknown.
FORMAT = "1.6"
# Of a file whose graph does not keep the contract itself: readers of 1.x would feed it wrongly.
FORMAT_BEYOND_CONTRACT = "2.0"
_MAJOR_VERSIONS = ("1", "2")
DTYPES = ("uint8", "int8", "int16", "float32")
LAYOUTS = ("NHWC", "NCHW", "NHW")
GREY = "GREY"
RESIZE_RULES = ("stretch", "crop")
FILTERS = ("bilinear",)
ACTIVATIONS = ("softmax", "sigmoid", "linear")
_CONTRACT_DTYPES = ("uint8", "float32")
_MOST_OUTPUTS = 1000
# What the output for unknown things may be called: the first that is no label of the user's.
UNKNOWN_LABELS = ("unknown", "none of these", "none of the other labels")
GOLDEN_KINDS = ("pattern", "photo")


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        names = ", ".join(str(choice) for choice in allowed)
        raise CardError(f"{name} must be one of: {names}. Received: {value}")


@dataclass(frozen=True)
class InputSpec:
    """The model's input: by the contract a batch of RGB images, [1, height, width, 3], values 0..255.

    `trained_color` is the order of the colours that the model was trained on, RGB or BGR. For BGR the graph
    exchanges them itself, where `color` is RGB.

    A file that was finished elsewhere may take something else: other `color`s, RGB, BGR or GREY; a `layout`
    of NCHW, or of NHW for grey pictures without a side for channels; and numbers (pixel - mean) / std,
    quantized as the tensor says, with one value or one of each of red, green and blue. Without `mean` and
    `std` pixels go in as they are, in int8 less 128.
    """

    height: int
    width: int
    dtype: str
    layout: str = "NHWC"
    color: str = "RGB"
    batch: int = 1
    trained_color: str = RGB
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for side in ("height", "width"):
            if not 1 <= getattr(self, side) <= 8192:
                raise CardError(f"input.{side} must be 1 to 8192 pixels. Received: {getattr(self, side)}")
        _require("input.dtype", self.dtype, DTYPES)
        _require("input.layout", self.layout, LAYOUTS if self.color == GREY else LAYOUTS[:2])
        _require("input.color", self.color, (*ORDERS, GREY))
        _require("input.batch", self.batch, (1,))
        _require("input.trained_color", self.trained_color, ORDERS)
        counts = {len(self.mean), len(self.std)}
        if not counts <= ({0} if 0 in counts else {1} if self.color == GREY else {1, 3}):
            raise CardError(
                "input.mean and input.std must have one value, or one for each colour, or both none. "
                f"Received: {len(self.mean)} and {len(self.std)}"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std, default=1) <= 0:
            raise CardError(f"input.std must be above 0. Received: {self.std}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        channels = 1 if self.color == GREY else 3
        return {
            "NHWC": (1, self.height, self.width, channels),
            "NCHW": (1, channels, self.height, self.width),
            "NHW": (1, self.height, self.width),
        }[self.layout]

    @property
    def takes_raw_rgb(self) -> bool:
        """Whether RGB pixels 0..255 go in as they are, row by row."""
        plain = (self.layout, self.color, self.mean) == ("NHWC", RGB, ())
        return plain and self.dtype in _CONTRACT_DTYPES


@dataclass(frozen=True)
class Preprocess:
    """How a picture is resized to the input; the scaling of values is inside the graph.

    `stretch` resizes the whole picture, `crop` only its largest centred part with the input's proportions.
    """

    resize: str = "stretch"
    filter: str = "bilinear"

    def __post_init__(self) -> None:
        _require("preprocess.resize", self.resize, RESIZE_RULES)
        _require("preprocess.filter", self.filter, FILTERS)


def unknown_label(labels: Sequence[str]) -> str:
    """Return what the output for unknown things is called beside these labels, whose names stay theirs.

    unknown_label(("cat", "dog"))                   # "unknown"
    unknown_label(("cat", "Unknown"))               # "none of these"

    Raises CardError where all of UNKNOWN_LABELS are labels.
    """
    taken = {label.strip().casefold() for label in labels}
    free = next((name for name in UNKNOWN_LABELS if name not in taken), None)
    if free is None:
        raise CardError(
            f"an output for unknown things needs a name. Labels have all of these: {UNKNOWN_LABELS}"
        )
    return free


@dataclass(frozen=True)
class UnknownOutput:
    """The output behind those of the labels: its value is the highest where a picture shows none of them.

    `label` is its line in labels.txt. The operating point was chosen by the right answers to `images`
    validation images, so that of right answers to images like these a share of at most `lost_at_most`
    becomes unknown, at a confidence of 95 %.
    """

    label: str
    images: int
    lost_at_most: float

    def __post_init__(self) -> None:
        if not self.label or "\n" in self.label or "\r" in self.label:
            raise CardError("output.unknown.label must be non-empty and of one line")
        if self.images < 1:
            raise CardError(f"output.unknown.images must be at least 1. Received: {self.images}")
        if not 0 <= self.lost_at_most <= 1:
            raise CardError(f"output.unknown.lost_at_most must be 0 to 1. Received: {self.lost_at_most}")


@dataclass(frozen=True)
class OutputSpec:
    """The model's output tensor: by the contract, probability = (value - zero_point) * scale.

    In a file that was finished elsewhere `activation` may be "sigmoid", a probability of each label by
    itself, or of the second of two; or "linear", values whose softmax are probabilities, and whose sigmoid is
    that of the second of two. `index` is the number of the output, where there are several.

    A converted `.tflite` has `temperature` inside the graph; `model.keras` gives probabilities without it.
    Below `threshold`, a probability after temperature, the answer is "unsure"; None means no threshold.
    `threshold_precision` is the share of right answers that the threshold was chosen for; None where no share
    was requested.

    With `unknown` one more value follows those of the labels, and all sum to 1. Temperature, threshold and
    the figures of accuracy are of the labels' values alone, divided by their sum.
    """

    dtype: str = "float32"
    scale: float = 1.0
    zero_point: int = 0
    activation: str = "softmax"
    temperature: float = 1.0
    threshold: float | None = None
    threshold_precision: float | None = None
    index: int = 0
    unknown: UnknownOutput | None = None

    def __post_init__(self) -> None:
        _require("output.dtype", self.dtype, DTYPES)
        _require("output.activation", self.activation, ACTIVATIONS)
        if not 0 <= self.index < _MOST_OUTPUTS:
            raise CardError(f"output.index must be 0 to {_MOST_OUTPUTS - 1}. Received: {self.index}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise CardError(f"output.scale must be above 0. Received: {self.scale}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise CardError(f"output.temperature must be above 0. Received: {self.temperature}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise CardError(f"output.threshold must be 0 to 1 or null. Received: {self.threshold}")
        stated = self.threshold_precision
        if stated is not None and not 0 < stated <= 1:
            raise CardError(f"output.threshold_precision must be above 0 to 1, or null. Received: {stated}")
        if self.unknown is not None and not self.gives_probabilities:
            raise CardError("output.unknown needs a first output of probabilities")

    @property
    def gives_probabilities(self) -> bool:
        """Whether the first output gives probabilities of all classes as they are."""
        return (self.activation, self.index) == ("softmax", 0) and self.dtype in _CONTRACT_DTYPES


@dataclass(frozen=True)
class Accuracy:
    """The accuracy on labelled images; rates are fractions of 1.

    These compare the file with the Keras model on the same images, and are None in the card of the Keras
    model: `float_agreement`, the share of images with the same top-1; `keras_difference`, this file's top-1
    accuracy minus the Keras model's; `mean_difference` and `largest_difference` of single probabilities, both
    models at this file's temperature; `p_value` of the exact McNemar test that both are right equally often;
    `only_float` and `only_this`, the numbers of images that only one of the two has right.

    `ece` is the expected calibration error of probabilities after temperature, `ece_uncalibrated` that of the
    Keras model before temperature. `coverage` is the share of images that are answered at the card's
    threshold, and `selective_accuracy` the share of right ones among these answers; None without a threshold
    or answers.

    `chance` is the share of right answers that the same answers give in a random order, and `above_chance_p`
    the probability that chance gives as many as were measured; see statistics/chance.py. Both are None in
    older cards, and `above_chance_p` where all images are of one class.

    `unknown` is the share of images that are answered with the output for unknown things, and
    `lost_to_unknown` that of the right answers among the labels; None where the file has no such output.
    """

    dataset: str
    images: int
    top1: float
    top1_ci95: tuple[float, float]
    macro_f1: float
    ece: float
    float_agreement: float | None = None
    keras_difference: float | None = None
    ece_uncalibrated: float | None = None
    coverage: float | None = None
    selective_accuracy: float | None = None
    mean_difference: float | None = None
    largest_difference: float | None = None
    p_value: float | None = None
    only_float: int | None = None
    only_this: int | None = None
    chance: float | None = None
    above_chance_p: float | None = None
    unknown: float | None = None
    lost_to_unknown: float | None = None


@dataclass(frozen=True)
class CrossValidation:
    """What `folds` models, trained as this one, answered to `images`, each tested once by one of them.

    No model was tested on images that it had seen. Rates are fractions of 1.
    """

    folds: int
    images: int
    top1: float
    top1_ci95: tuple[float, float]
    macro_f1: float
    ece: float


@dataclass(frozen=True)
class TrainingInfo:
    """Where the weights come from; `note` is the remark of the person who trained them.

    `learned_validation` says whether the validation images of the split were learned from in the end, after
    temperature and threshold had been fitted to them: nothing can be chosen by answers to them any more.
    """

    architecture: str
    weights: str
    dataset: str
    seed: int
    split_sha256: str
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    note: str = ""
    cross_validation: CrossValidation | None = None
    learned_validation: bool = False

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise CardError(f"training.seed must not be negative. Received: {self.seed}")


@dataclass(frozen=True)
class Calibration:
    """The images that calibrated the quantization: their number, also per class, and a hash of the pixels.

    `source` names their origin; `copies` is the number of duplicates that were left out. Images that lie in
    no class's folder are counted together, without the folder's name.
    """

    images: int
    sha256: str
    per_class: dict[str, int]
    source: str = "training images"
    copies: int = 0


@dataclass(frozen=True)
class ConversionInfo:
    """How the .tflite was made; `compatible` names the older runtime that it supports, if any."""

    variant: str
    recipe: dict[str, Any]
    calibration: Calibration | None = None
    versions: dict[str, str] = field(default_factory=dict)
    compatible: str | None = None


@dataclass(frozen=True)
class GoldenExample:
    """The name of an image inside the file, and the probabilities that the new file gave for it.

    `kind` is "pattern" for a drawn one, and "photo" for a photo or a picture of unknown origin: cards before
    format 1.3 don't say. `unknown` is the value of the output for unknown things; None where there is none.
    """

    image: str
    expected: tuple[float, ...]
    tolerance: float
    kind: str = "photo"
    unknown: float | None = None

    def __post_init__(self) -> None:
        _require("golden.kind", self.kind, GOLDEN_KINDS)
        if self.unknown is not None and not 0 <= self.unknown <= 1:
            raise CardError(f"golden.unknown must be 0 to 1 or null. Received: {self.unknown}")


@dataclass(frozen=True)
class ModelCard:
    """The whole contract; see the module's docstring.

    Raises CardError on construction when a field has an impossible value.
    """

    name: str
    labels: tuple[str, ...]
    input: InputSpec
    preprocess: Preprocess = Preprocess()
    output: OutputSpec = OutputSpec()
    accuracy: Accuracy | None = None
    training: TrainingInfo | None = None
    conversion: ConversionInfo | None = None
    golden: tuple[GoldenExample, ...] = ()
    sha256: str | None = None
    format: str = FORMAT

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise CardError(f"labels must name at least 2 classes. Received: {len(self.labels)}")
        if len(set(self.labels)) != len(self.labels):
            raise CardError("labels must differ from each other")
        if any(not label or "\n" in label or "\r" in label for label in self.labels):
            raise CardError("labels must be non-empty and of one line each")
        if self.output.unknown is not None and self.output.unknown.label in self.labels:
            raise CardError(
                f"output.unknown.label must be none of the labels. Received: {self.output.unknown.label}"
            )
        if self.format.startswith("1.") and not self.keeps_contract:
            raise CardError(
                "input and output are not raw RGB pixels and probabilities, which format "
                f"{self.format} promises: such cards have format {FORMAT_BEYOND_CONTRACT}"
            )

    @property
    def keeps_contract(self) -> bool:
        """Whether raw RGB pixels go in, and probabilities come out."""
        return self.input.takes_raw_rgb and self.output.gives_probabilities

    @property
    def output_labels(self) -> tuple[str, ...]:
        """What each value of the output stands for: the labels, and that of the output for unknown things."""
        return (*self.labels, self.output.unknown.label) if self.output.unknown else self.labels

    def to_json(self) -> str:
        """Return the card as indented JSON, keys in the order of the fields."""
        ordered = {"format": self.format, **asdict(self)}
        return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelCard:
        """Read a card.

        Unknown keys are ignored, since a newer minor version may add some. Raises CardError when `text` is no
        JSON object, lacks a field, or has another major version.
        """
        try:
            data = parse_json(text, finite=False)  # Each number is checked below, with its name.
        except JsonError as error:
            raise CardError(f"card.json is not valid JSON ({error})") from None
        if not isinstance(data, dict):
            raise CardError(f"card.json must hold an object. Received: {type(data).__name__}")
        _check_version(data.get("format"))
        try:
            return structured(cls, data)
        except JsonError as error:
            raise CardError(f"card.json: {error}") from None


def _check_version(version: object) -> None:
    match = re.fullmatch(r"(\d+)\.(\d+)", version) if isinstance(version, str) else None
    if match is None:
        raise CardError(f'card.json must have a "format" such as "{FORMAT}". Received: {version!r}')
    if match[1] not in _MAJOR_VERSIONS:
        raise CardError(
            f"card.json has format {version}, and this program reads {FORMAT[0]}.x and "
            f"{FORMAT_BEYOND_CONTRACT[0]}.x. Install a newer edge-classify from where this one came from"
        )
