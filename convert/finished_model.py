"""A finished .tflite of any origin: its input and output, and what is settled about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..edge.card import FORMAT, FORMAT_BEYOND_CONTRACT, GREY, InputSpec, ModelCard, OutputSpec, Preprocess
from ..edge.channels import BGR, RGB
from ..edge.classifier import Classifier
from ..edge.errors import ModelFileError
from ..edge.flatbuffer import FlatTable
from ..edge.foreign import ForeignFacts, choose_color, choose_labels, choose_normalization
from ..edge.meanings import OF_ACTIVATION, OutputMeaning
from ..edge.modelfile import ModelFile, Normalization, mapped, tables_of
from ..edge.output_meaning import accept_meaning, settle_meaning
from ..edge.runtime import Execution, Loaded, open_interpreter
from ..edge.tensors import Layout, TensorSpec, choose_tensors, stored_values
from ..edge.tflite.graph import Subgraph, Tensor, read_graph
from .patterns import draw_pattern
from .recipes import FLOAT32, INT8
from .sources.job import no_labels

_PROBES = 4
_WHOLE_NUMBERS = ("int4", "int8", "uint8", "int16")
_ACTIVATIONS = {meaning: activation for activation, meaning in OF_ACTIVATION.items()}


@dataclass(frozen=True)
class FinishedModel:
    """A model without a card, and everything that its card must say.

    `runs` is whether the runtime here has all of its operations; `custom` names those that are none of
    TFLite's own. `normalization` is None where pixels go in as they are.
    """

    path: Path
    given: TensorSpec
    result: TensorSpec
    labels: tuple[str, ...]
    normalization: Normalization | None
    color: str
    meaning: OutputMeaning
    runs: bool
    custom: tuple[str, ...]
    quantized: bool

    @classmethod
    def settle(cls, file: ModelFile, facts: ForeignFacts) -> FinishedModel:
        """Find out what a file takes and gives, from itself and from `facts`.

        Raises ModelFileError, in the words of the runner, for a file that it does not run, and for what
        nobody says; OptionError where nobody names the classes.
        """
        assert isinstance(file.model, Path)
        graph = _read_graph(file.model)
        custom = tuple(dict.fromkeys(op.name for op in graph.operators if op.custom))
        quantized = any(t.dtype in _WHOLE_NUMBERS and t.quantization is not None for t in graph.tensors)
        loaded = _open(file, custom)
        classifier = Classifier(file, facts, loaded=loaded) if loaded else None
        given, result = (
            (classifier.input, classifier.output)
            if classifier
            else choose_tensors(file.name, *_details(graph), facts.output_index)
        )
        if facts.labels is None and file.labels is None:
            raise no_labels(file.model, result.classes)
        color = choose_color(file, given, facts.color)
        normalization = choose_normalization(file, given, facts.normalization, color)
        stated = file.statement(result.number)
        if classifier is not None:
            values = _probe(classifier)
            meaning = settle_meaning(file.name, stated, values, facts.outputs, result.scale)
        else:
            meaning = accept_meaning(file.name, stated, facts.outputs, int(np.prod(result.shape)))
        return cls(
            file.model,
            given,
            result,
            choose_labels(file, facts.labels, result.classes),
            None if _same_as_pixels(given, normalization) else normalization,
            color,
            meaning,
            classifier is not None,
            custom,
            quantized,
        )

    @property
    def layout(self) -> Layout:
        """The layout of a picture in the input."""
        layout = self.given.layout
        assert layout is not None  # check_shapes has refused all others.
        return layout

    @property
    def tolerance(self) -> float:
        """The least difference of a probability that golden examples allow on other processors."""
        return (INT8 if self.quantized else FLOAT32).tolerance

    def card(self, resize: str | None) -> ModelCard:
        """Return the card; `resize` is how pictures were fitted into the input, None for stretched."""
        result, single = self.result, int(np.prod(self.result.shape)) == 1
        # One probability is that of the second class, whatever computed it.
        activation = "sigmoid" if single and self.meaning is not OutputMeaning.LOGITS else None
        output = OutputSpec(
            result.dtype,
            result.scale if result.scale > 0 else 1.0,
            result.zero_point if result.scale > 0 else 0,
            activation or _ACTIVATIONS[self.meaning],
            index=result.number,
        )
        given, preprocess = self._input(), Preprocess(resize or "stretch")
        keeps = given.takes_raw_rgb and output.gives_probabilities
        return ModelCard(
            self.path.stem,
            self.labels,
            given,
            preprocess,
            output,
            format=FORMAT if keeps else FORMAT_BEYOND_CONTRACT,
        )

    def _input(self) -> InputSpec:
        layout = self.layout
        rows = "NHW" if len(self.given.shape) == 3 else "NHWC"
        return InputSpec(
            layout.height,
            layout.width,
            self.given.dtype,
            "NCHW" if layout.channels_first else rows,
            GREY if layout.channels == 1 else self.color,
            trained_color=BGR if self.color == BGR else RGB,
            mean=self.normalization.mean if self.normalization else (),
            std=self.normalization.std if self.normalization else (),
        )


def is_quantized(path: Path) -> bool:
    """Return whether a .tflite holds or takes anything but float32; raises ModelFileError."""
    graph = _read_graph(path)
    ends = (graph.tensors[index] for index in (*graph.inputs, *graph.outputs))
    stored = any(tensor.dtype in ("float16", "int8", "uint8") for tensor in graph.tensors)
    return stored or any(tensor.dtype != "float32" for tensor in ends)


def _read_graph(path: Path) -> Subgraph:
    with mapped(path) as data, tables_of(path):
        return read_graph(FlatTable.root(data)).subgraphs[0]


def _open(file: ModelFile, custom: tuple[str, ...]) -> Loaded | None:
    """Return the file's interpreter, None where only its custom operations are missing here."""
    try:
        return open_interpreter(file.model, Execution(), file.name)
    except ModelFileError:
        if not custom:
            raise
        return None


def _details(graph: Subgraph) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what an interpreter would report of the inputs and outputs; see TensorSpec.from_details."""
    inputs, outputs = (
        [_detail(graph.tensors[index]) for index in side] for side in (graph.inputs, graph.outputs)
    )
    return inputs, outputs


def _detail(tensor: Tensor) -> dict[str, Any]:
    stored = tensor.quantization
    scale = (stored.scale or 0.0, stored.zero_point or 0) if stored else (0.0, 0)
    try:
        dtype = np.dtype(tensor.dtype)
    except TypeError:
        raise ModelFileError(f"Its tensor {tensor.name!r} is of {tensor.dtype}") from None
    return {
        "name": tensor.name,
        "index": tensor.index,
        "shape": tensor.shape,
        "shape_signature": tensor.open_shape or tensor.shape,
        "dtype": dtype,
        "quantization": scale,
    }


def _probe(classifier: Classifier) -> NDArray[np.float32]:
    """Return the outputs for drawn pictures, [pictures, outputs]; raises ModelFileError for NaN."""
    width, height = classifier.size
    rows = []
    for seed in range(_PROBES):
        classifier.invoke(classifier.prepare(draw_pattern(seed, height, width)))
        rows.append(classifier.read_output())
    values = np.stack(rows)
    if not np.isfinite(values).all():
        raise ModelFileError(f"{classifier.file.name} gives values that are no numbers (NaN or infinite)")
    return values


def _same_as_pixels(given: TensorSpec, normalization: Normalization | None) -> bool:
    """Return whether an input gets the same numbers by a normalization as by pixels as they are."""
    return bool((fed(given, normalization) == fed(given, None)).all())


def fed(given: TensorSpec, normalization: Normalization | None) -> NDArray[np.float64]:
    """Return what an input gets for each brightness of red, green and blue, [1, 256, 3]."""
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    return stored_values(levels, given, normalization).astype(np.float64)
