"""A float .tflite as the model that all variants are made from. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...benchmarks.scoring.predict import RAW_FACTS, run_on_pixels
from ...edge.card import ModelCard
from ...edge.channels import BGR, RGB
from ...edge.console import say
from ...edge.doctor.feeding import Reading
from ...edge.errors import ConversionError, ModelFileError, OptionError
from ...edge.flatbuffer import FlatTable
from ...edge.foreign import ForeignFacts, facts_of, stated_normalization
from ...edge.meanings import OutputMeaning, Statement
from ...edge.modelfile import ModelFile, Normalization, mapped, tables_of
from ...edge.output_meaning import settle_meaning, sum_to_one, to_probabilities
from ...edge.tensors import Layout, TensorSpec, choose_output
from ...edge.tflite.graph import read_graph
from ..calibration import CalibrationSet
from ..recipes import FLOAT32, Recipe
from ..repair.answers import store_pixels
from ..tflite.correction import Correction
from ..tflite.flatgraph import pack, unpack
from ..tflite.graph_ends import (
    EXCHANGE_ADDED,
    GREY_ADDED,
    LAYOUT_ADDED,
    LOG_AND_SOFTMAX_ADDED,
    SOFTMAX_ADDED,
    TWO_CLASSES_ADDED,
    add_exchange,
    add_grey,
    add_log,
    add_rows,
    add_scaling,
    add_softmax,
    add_two_classes,
    drop_last_sigmoid,
    keep_output,
)
from ..tflite.quantizer import Kind, requantize
from ..tflite.ranges import Ranges, observe
from .job import ModelSource
from .prepared import require_same_answers

_PROBES = 4
_OR_SEAL = ", or give this one labels and metadata as it is: --seal"
_FLOAT32 = schema.TensorType.FLOAT32
_STORED = {
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.INT8: "int8",
    schema.TensorType.UINT8: "uint8",
}


class FloatTflite:
    """A float .tflite that keeps the contract, run by LiteRT and quantized by litert-quantizer."""

    framework = "LiteRT"

    def __init__(
        self,
        flatbuffer: bytes,
        reading: Reading | None = None,
        reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None,
    ) -> None:
        """Take a float32 model that maps one image of 0..255 to probabilities; `reading` is that of Job.

        `reference` gives the probabilities of the file as it was read, before anything was added.
        """
        self._flatbuffer = flatbuffer
        self.reading = reading
        self._reference = reference
        self._calibrated: tuple[Ranges, Correction] | None = None

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities; see FloatModel."""
        return self._reference(pixels) if self._reference is not None else self.own_probabilities(pixels)

    def own_probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return those of the model with what was added to it."""
        return _run(self._flatbuffer, pixels, RAW_FACTS)

    def packages(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the distributions that made a variant; see FloatModel."""
        return () if recipe == FLOAT32 else ("litert-quantizer",)

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """Return a variant's flatbuffer; see FloatModel."""
        if recipe == FLOAT32:
            return self._flatbuffer
        if recipe.activations == "int16":
            raise ConversionError(
                f"The {recipe.name} variant can be made from a Keras model or a SavedModel, and not from a "
                ".tflite"
            )
        if not recipe.calibrated or calibration is None:
            return requantize(self._flatbuffer, cast("Kind", recipe.name))
        if self._calibrated is None:
            pixels = store_pixels(calibration.read())
            correction = Correction(self._flatbuffer, lambda: iter(pixels))
            self._calibrated = observe(self._flatbuffer, pixels), correction
        ranges, correction = self._calibrated
        return correction.apply(requantize(self._flatbuffer, cast("Kind", recipe.name), ranges))


def _run(flatbuffer: bytes | Path, pixels: NDArray[np.uint8], facts: ForeignFacts) -> NDArray[np.float32]:
    """Return the outputs for uint8 [n, height, width, 3]; raises ConversionError when the model fails."""
    try:
        return run_on_pixels(flatbuffer, pixels, facts)
    except (ModelFileError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConversionError(f"The model cannot be run: {reason}") from error


def read_float_tflite(source: ModelSource) -> tuple[FloatTflite, ModelCard]:
    """Read a float .tflite and make it keep the contract; raises ConversionError where that is impossible."""
    file = ModelFile.read(source.path)
    name, carded = str(source.path), file.card is not None
    _refuse_options(source, carded)
    model = _unpack(source.path, file)
    if file.card is not None and not file.card.keeps_contract:
        source, file = _without_card(source, file, file.card)
    index = file.card.output.index if file.card else source.output_index
    number = _choose_output(name, file, model, index)
    keep_output(model, number)
    _require_float(name, model, "" if carded else _OR_SEAL)
    layout = _fix_shapes(name, model)
    height, width = layout.height, layout.width
    outputs = _count_outputs(name, model)
    if file.card is None:
        labelled = replace(source, labels=source.labels or file.labels)
        card = labelled.card(max(2, outputs), height, width)
        made = _keep_contract(source, file, model, layout, file.statement(number))
    else:
        output = replace(file.card.output, temperature=1.0, threshold=None)  # Both are in the graph already.
        card = replace(file.card, output=output, golden=(), sha256=None, accuracy=None, conversion=None)
        card = replace(card, name=source.path.stem)
        made = FloatTflite(pack(model))
    _require_probabilities(name, made, height, width)
    return made, card


def _refuse_options(source: ModelSource, carded: bool) -> None:
    if source.image_size is not None:
        raise OptionError(
            f"--image-size is for models that take pictures of any size, and {source.path} is a .tflite"
        )
    given = [*source.facts.options, *(["--resize"] if source.resize else [])]
    if carded and given:
        raise OptionError(
            f"{source.path} carries its own labels and preprocessing: {', '.join(given)} "
            f"{'is' if len(given) == 1 else 'are'} for models that carry none"
        )


def _unpack(path: Path, file: ModelFile) -> Any:
    """Return the model in the schema's classes, without what sealing writes again."""
    with mapped(path) as data, tables_of(path):
        read_graph(FlatTable.root(data))  # This reading is bounded, and unpacking is not.
    try:
        model = unpack(path.read_bytes()[: file.zip_offset])
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from error
    model.metadata = []
    model.signatureDefs = []  # They name tensors that are replaced.
    return model


def _without_card(source: ModelSource, file: ModelFile, card: ModelCard) -> tuple[ModelSource, ModelFile]:
    """Return a sealed file as one without a card, about which options say what the card does."""
    said = facts_of(card)
    source = replace(
        source,
        labels=card.labels,
        normalization=said.normalization,
        color=said.color,
        outputs=said.outputs,
        output_index=said.output_index,
        resize=card.preprocess.resize,
    )
    return source, ModelFile.read(source.path.read_bytes()[: file.zip_offset], file.name)


def _noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (_PROBES, height, width, 3), np.uint8)


def _require_probabilities(name: str, model: FloatTflite, height: int, width: int) -> None:
    pixels = _noise(height, width)
    outputs = model.own_probabilities(pixels)
    _require_finite(name, outputs)
    if not sum_to_one(outputs):
        raise ConversionError(
            f"{name} ends in softmax, and the outputs don't sum to 1: it is no classifier of whole images"
        )


def _require_finite(name: str, outputs: NDArray[np.float32]) -> None:
    if not np.isfinite(outputs).all():
        raise ConversionError(
            f"{name} gives values that are no numbers (NaN or infinite): its training went wrong, or the "
            "file is damaged"
        )


def _keep_contract(
    source: ModelSource, file: ModelFile, model: Any, layout: Layout, stated: Statement
) -> FloatTflite:
    """Add to an unpacked model what it lacks of the contract, and say what was added."""
    name, color = str(source.path), source.color or RGB
    normalization = source.normalization or stated_normalization(file, color)
    if normalization is None:
        raise OptionError(
            f"{name} takes float input and does not say how pixels are scaled. Give --normalization 0..255, "
            "0..1, -1..1 or MEAN,STD, as the model was trained"
        )
    grey = layout.channels == 1
    if grey and color == BGR:
        raise OptionError(f"{name} takes grey pictures, which have no order of colours: leave out --color")
    facts = replace(source.facts, labels=None, normalization=normalization)

    def values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _run(file.model, pixels, facts)

    pixels = _noise(layout.height, layout.width)
    probes = values(pixels)
    _require_finite(name, probes)
    meaning = settle_meaning(name, stated, probes, source.outputs)

    def reference(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return to_probabilities(values(pixels), meaning)

    notes = [
        *_add_softmax(model, meaning, stated.exact, probes.shape[1]),
        *_add_picture(model, layout, normalization, color),
    ]
    for note in notes:
        say(f"{name}: {note}")
    made = FloatTflite(pack(model), Reading(normalization, None if grey else color), reference)
    require_same_answers(name, made.own_probabilities(pixels), reference(pixels), grey)
    return made


def _add_softmax(model: Any, meaning: OutputMeaning, exact: bool, outputs: int) -> list[str]:
    """Add what makes probabilities of the outputs, with softmax as the last operation; return remarks."""
    logits = meaning is OutputMeaning.LOGITS
    if outputs == 1:
        logits = logits or drop_last_sigmoid(model)
        add_two_classes(model, logits)
        if not logits:
            add_log(model)
        add_softmax(model)
        return [TWO_CLASSES_ADDED]
    if logits:
        add_softmax(model)
        return [SOFTMAX_ADDED]
    if meaning is OutputMeaning.PROBABILITIES and exact:
        return []
    add_log(model)
    add_softmax(model)
    return [LOG_AND_SOFTMAX_ADDED]


def _add_picture(model: Any, layout: Layout, normalization: Normalization, color: str) -> list[str]:
    """Add what makes the input of RGB pixels 0..255, [1, height, width, 3]; return remarks."""
    notes = []
    if layout.channels_first or len(model.subgraphs[0].tensors[int(model.subgraphs[0].inputs[0])].shape) == 3:
        add_rows(model, layout)
        notes.append(LAYOUT_ADDED)
    if color == BGR:
        add_exchange(model)
        notes.append(EXCHANGE_ADDED)
    add_scaling(model, normalization)
    if layout.channels == 1:
        add_grey(model)
        notes.append(GREY_ADDED)
    return notes


def _choose_output(name: str, file: ModelFile, model: Any, output_index: int | None) -> int:
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1:
        raise ConversionError(
            f"{name} is not an image classifier: it has {len(graph.inputs)} inputs, and a classifier has one"
        )
    tensors = [graph.tensors[int(output)] for output in graph.outputs]
    named = [(bytes(t.name or b"").decode(errors="replace"), list(map(int, t.shape))) for t in tensors]
    try:
        return choose_output(name, named, output_index)
    except ValueError as error:
        raise ConversionError(str(error)) from None


def _require_float(name: str, model: Any, other_way: str) -> None:
    graph = model.subgraphs[0]
    stored = {_STORED[tensor.type] for tensor in graph.tensors if tensor.type in _STORED}
    if stored:
        raise ConversionError(
            f"{name} is quantized already ({', '.join(sorted(stored))}), and lost precision does not come "
            f"back. Give the float32 model{other_way}"
        )
    for tensor in (graph.tensors[int(graph.inputs[0])], graph.tensors[int(graph.outputs[0])]):
        if tensor.type != _FLOAT32:
            raise ConversionError(
                f"{name} must have float32 input and output to be quantized. Give such a model{other_way}"
            )


def _fix_shapes(name: str, model: Any) -> Layout:
    """Fix the batch at 1, and return the layout of the input."""
    graph = model.subgraphs[0]
    given = graph.tensors[int(graph.inputs[0])]
    shape = tuple(int(side) for side in given.shape)
    signature = given.shapeSignature
    open_sides = [] if signature is None else [int(side) for side in signature][1:]
    layout = TensorSpec(0, shape, "float32", 0.0, 0).layout
    if layout is None or min([*shape, *open_sides]) < 1:
        raise ConversionError(
            f"{name} is not an image classifier of a fixed size: its input is "
            f"{list(shape) if signature is None else list(map(int, signature))}, and this program feeds "
            "[1, height, width, 3] or [1, 3, height, width], with 1 for 3 where pictures are grey"
        )
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    return layout


def _count_outputs(name: str, model: Any) -> int:
    graph = model.subgraphs[0]
    shape = [int(side) for side in graph.tensors[int(graph.outputs[0])].shape]
    if not shape or np.prod(shape) != max(shape):
        raise ConversionError(
            f"{name} is not an image classifier: its output is {shape}, and a classifier's is [1, classes]"
        )
    return max(shape)
