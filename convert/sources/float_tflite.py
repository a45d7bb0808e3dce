"""A float .tflite as the model that all variants are made from. Needs no TensorFlow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...benchmarks.scoring.predict import RAW_PIXELS, run_on_pixels
from ...edge.card import ModelCard
from ...edge.console import say
from ...edge.errors import ConversionError, ModelFileError, OptionError
from ...edge.flatbuffer import FlatTable
from ...edge.modelfile import ModelFile, Normalization, mapped, tables_of
from ...edge.output_meaning import OutputMeaning, meaning_of_tflite_values, sum_to_one
from ...edge.tflite.graph import read_graph
from ..calibration import CalibrationSet
from ..recipes import Recipe
from ..tflite.flatgraph import pack, unpack
from ..tflite.graph_ends import LOG_AND_SOFTMAX_ADDED, SOFTMAX_ADDED, add_log, add_scaling, add_softmax
from ..tflite.quantizer import Kind, requantize
from ..tflite.ranges import Ranges, observe
from .job import ModelSource

_PROBES = 4
_FLOAT32 = schema.TensorType.FLOAT32
_STORED = {
    schema.TensorType.FLOAT16: "float16",
    schema.TensorType.INT8: "int8",
    schema.TensorType.UINT8: "uint8",
}


class FloatTflite:
    """A float .tflite that keeps the contract, run by LiteRT and quantized by litert-quantizer."""

    framework = "LiteRT"
    package = "litert-quantizer"

    def __init__(self, flatbuffer: bytes) -> None:
        """Take a float32 model that maps one image of 0..255 to probabilities."""
        self._flatbuffer = flatbuffer
        self._ranges: Ranges | None = None

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities; see FloatModel."""
        return _run(self._flatbuffer, pixels, RAW_PIXELS)

    def make(self, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
        """Return a variant's flatbuffer; see FloatModel."""
        if recipe.name == "float32":
            return self._flatbuffer
        if recipe.activations == "int16":
            raise ConversionError(
                f"The {recipe.name} variant can be made from a Keras model or a SavedModel, and not from a "
                ".tflite"
            )
        if recipe.calibrated and self._ranges is None and calibration is not None:
            self._ranges = observe(self._flatbuffer, calibration.read())
        return requantize(self._flatbuffer, cast("Kind", recipe.name), self._ranges)


def _run(flatbuffer: bytes, pixels: NDArray[np.uint8], normalization: Normalization) -> NDArray[np.float32]:
    """Return the outputs for uint8 [n, height, width, 3]; raises ConversionError when the model fails."""
    try:
        return run_on_pixels(flatbuffer, pixels, normalization)
    except (ModelFileError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConversionError(f"The model cannot be run: {reason}") from error


def read_float_tflite(source: ModelSource) -> tuple[FloatTflite, ModelCard]:
    """Read a float .tflite and make it keep the contract; raises ConversionError where that is impossible."""
    if source.image_size is not None:
        raise OptionError(
            f"--image-size is for models that take pictures of any size, and {source.path} is a .tflite"
        )
    file = ModelFile.read(source.path)
    name = str(source.path)
    if file.card is not None and any((source.labels, source.normalization, source.resize)):
        raise OptionError(
            f"{name} carries its own labels and preprocessing: --labels, --normalization and --resize are "
            "for models that carry none"
        )
    with mapped(source.path) as data, tables_of(source.path):
        read_graph(FlatTable.root(data))  # This reading is bounded, and unpacking is not.
    try:
        model = unpack(source.path.read_bytes()[: file.zip_offset])
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from error
    _drop_metadata(model)
    _require_float(name, model)
    height, width = _fix_shapes(name, model)
    classes = _classes(name, model)
    if file.card is None:
        labelled = replace(source, labels=source.labels or file.labels)
        card = labelled.card(classes, height, width)
        _keep_contract(name, model, file, source.normalization)
    else:
        output = replace(file.card.output, temperature=1.0, threshold=None)  # Both are in the graph already.
        card = replace(file.card, output=output, golden=(), sha256=None, accuracy=None, conversion=None)
        card = replace(card, name=source.path.stem)
    made = FloatTflite(pack(model))
    _require_probabilities(name, made, height, width)
    return made, card


def _require_probabilities(name: str, model: FloatTflite, height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (_PROBES, height, width, 3), np.uint8)
    outputs = model.probabilities(pixels)
    if not np.isfinite(outputs).all():
        raise ConversionError(
            f"{name} gives values that are no numbers (NaN or infinite): its training went wrong, or the "
            "file is damaged"
        )
    if not sum_to_one(outputs):
        raise ConversionError(
            f"{name} ends in softmax, and the outputs don't sum to 1: it is no classifier of whole images"
        )


def _keep_contract(name: str, model: Any, file: ModelFile, given: Normalization | None) -> None:
    normalization = given or file.normalization
    if normalization is None:
        raise OptionError(
            f"{name} takes float input and does not say how pixels are scaled. Give --normalization 0..255, "
            "0..1, -1..1 or MEAN,STD, as the model was trained"
        )
    if file.outputs is OutputMeaning.SIGMOIDS:
        raise ConversionError(
            f"{name} gives each output a probability of its own (sigmoid): it finds several labels at once. "
            "edge-classify needs a model that chooses one, with softmax"
        )
    if file.outputs is OutputMeaning.LOGITS:
        if meaning_of_tflite_values(_probe(model, normalization)) is OutputMeaning.PROBABILITIES:
            say(f"{name}: {LOG_AND_SOFTMAX_ADDED}")
            add_log(model)
        else:
            say(f"{name}: {SOFTMAX_ADDED}")
        add_softmax(model)
    add_scaling(model, normalization)


def _probe(model: Any, normalization: Normalization) -> NDArray[np.float32]:
    """Return an unpacked model's outputs for a few noisy pictures, float32 [pictures, outputs]."""
    shape = [int(side) for side in model.subgraphs[0].tensors[int(model.subgraphs[0].inputs[0])].shape]
    pixels = np.random.default_rng(0).integers(0, 256, (_PROBES, *shape[1:]), np.uint8)
    return _run(pack(model), pixels, normalization)


def _drop_metadata(model: Any) -> None:
    """Drop everything that sealing writes again."""
    model.metadata = []
    model.signatureDefs = []  # They name tensors that are replaced.


def _require_float(name: str, model: Any) -> None:
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ConversionError(
            f"{name} is not an image classifier: a classifier has one input and one output. "
            f"Received: {len(graph.inputs)} and {len(graph.outputs)}"
        )
    stored = {_STORED[tensor.type] for tensor in graph.tensors if tensor.type in _STORED}
    if stored:
        raise ConversionError(
            f"{name} is quantized already ({', '.join(sorted(stored))}), and lost precision does not come "
            "back. Give the float32 model"
        )
    for tensor in (graph.tensors[int(graph.inputs[0])], graph.tensors[int(graph.outputs[0])]):
        if tensor.type != _FLOAT32:
            raise ConversionError(f"{name} must have float32 input and output to be quantized")


def _fix_shapes(name: str, model: Any) -> tuple[int, int]:
    """Fix the batch at 1, and return height and width."""
    graph = model.subgraphs[0]
    given = graph.tensors[int(graph.inputs[0])]
    shape = [int(side) for side in given.shape]
    signature = given.shapeSignature
    open_sides = [] if signature is None else [int(side) for side in signature][1:]
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or min([*shape, *open_sides]) < 1:
        raise ConversionError(
            f"{name} is not an image classifier of a fixed size: its input is "
            f"{shape if signature is None else list(map(int, signature))}, and this program feeds "
            "[1, height, width, 3]"
        )
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    return shape[1], shape[2]


def _classes(name: str, model: Any) -> int:
    graph = model.subgraphs[0]
    shape = [int(side) for side in graph.tensors[int(graph.outputs[0])].shape]
    if not shape or shape[-1] < 2 or np.prod(shape) != shape[-1]:
        raise ConversionError(
            f"{name} is not an image classifier: its output is {shape}, and a classifier's is [1, classes]"
        )
    return shape[-1]
