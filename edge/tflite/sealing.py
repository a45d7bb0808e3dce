"""Puts card, labels, metadata and golden examples into a model file."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..card import FORMAT, GoldenExample, ModelCard
from ..errors import ConversionError
from ..modelfile import CARD_NAME, LABELS_NAME
from ..runtime import load_interpreter
from ..tensors import TensorSpec
from .metadata import (
    NOTHING_INHERITED,
    Inherited,
    add_metadata,
    append_files,
    build_metadata,
    check_metadata,
    scaling_for_readers,
)
from .model import EditableModel


@dataclass(frozen=True)
class Golden:
    """An input, uint8 [height, width, 3], and the probabilities that the file gave for it.

    `kind` and `unknown` are those of GoldenExample.
    """

    pixels: NDArray[np.uint8]
    expected: NDArray[np.float32]
    tolerance: float
    kind: str = "photo"
    unknown: float | None = None


def complete_card(flatbuffer: bytes, card: ModelCard, io_dtype: str) -> ModelCard:
    """Return the card with the tensors' dtypes and quantization, as the interpreter reports them.

    The card has the format of this program, whatever format it was read from.

    Raises ConversionError for tensors that break the contract: input and output have the dtype `io_dtype`, an
    8-bit input has scale 1 and zero point 0 exactly, and where a float input becomes 8-bit inside the model,
    a pixel stays the same number too.
    """
    interpreter = load_interpreter(flatbuffer, 1)
    given = TensorSpec.from_details(interpreter.get_input_details()[0])
    result = TensorSpec.from_details(interpreter.get_output_details()[0])
    if (given.dtype, result.dtype) != (io_dtype, io_dtype):
        raise ConversionError(f"input and output must be {io_dtype}. Received: {given.dtype}, {result.dtype}")
    if io_dtype == "uint8" and (given.scale != 1.0 or given.zero_point != 0):
        raise ConversionError(
            f"the input must have scale 1 and zero point 0. Received: {given.scale}, {given.zero_point}"
        )
    _check_pixel_scale(flatbuffer)
    quantized = result.scale > 0
    output = replace(
        card.output,
        dtype=result.dtype,
        scale=result.scale if quantized else 1.0,
        zero_point=result.zero_point if quantized else 0,
    )
    return replace(card, input=replace(card.input, dtype=given.dtype), output=output, format=FORMAT)


def _check_pixel_scale(flatbuffer: bytes) -> None:
    """Raise ConversionError where float pixels are quantized to 8-bit numbers that are not one apart."""
    graph = EditableModel(flatbuffer).graph
    for operator in graph.operators:
        if operator.name != "QUANTIZE" or operator.inputs[:1] != graph.inputs[:1]:
            continue
        stored = graph.tensors[operator.outputs[0]]
        found = stored.quantization
        if stored.dtype == "int8" and found and (found.scale, found.zero_point) != (1.0, -128):
            raise ConversionError(
                "pixels must be quantized with scale 1 and zero point -128. Received: "
                f"{found.scale}, {found.zero_point}"
            )


def seal(
    flatbuffer: bytes,
    card: ModelCard,
    golden: Sequence[Golden] = (),
    inherited: Inherited = NOTHING_INHERITED,
    more_files: Sequence[tuple[str, bytes]] = (),
) -> bytes:
    """Return the whole file: a model with metadata, and behind it labels, card and golden examples.

    `flatbuffer` is a model, or a finished file up to its `ModelFile.zip_offset`, whose metadata is replaced;
    `inherited` is what stays of it, and `more_files` are the names and contents of further files that do.
    The same arguments give the same bytes. Raises ConversionError, as check_metadata does, when other readers
    would not find in it what `card` says.

    Example::

        old = ModelFile.read(path)
        flatbuffer = path.read_bytes()[: old.zip_offset]
        path.write_bytes(seal(flatbuffer, replace(old.card, labels=("cat", "dog"))))
    """
    graph = EditableModel(flatbuffer, several_graphs=True).graph
    outputs = [math.prod(graph.tensors[output].shape) for output in graph.outputs]
    scaling = scaling_for_readers(card, graph.tensors[graph.inputs[0]])
    model = add_metadata(flatbuffer, build_metadata(card, scaling, outputs, inherited))
    pictures: list[tuple[str, bytes]] = []
    examples = []
    for number, example in enumerate(golden):
        name = f"golden_{number}.png"
        pictures.append((name, _png(example.pixels)))
        expected = tuple(round(float(p), 6) for p in example.expected)
        unknown = None if example.unknown is None else round(example.unknown, 6)
        examples.append(GoldenExample(name, expected, example.tolerance, example.kind, unknown))
    final = replace(card, golden=tuple(examples), sha256=hashlib.sha256(model).hexdigest())
    labels = "\n".join(card.output_labels) + "\n"
    files = [(LABELS_NAME, labels.encode()), (CARD_NAME, final.to_json().encode()), *pictures, *more_files]
    sealed = append_files(model, files)
    check_metadata(sealed, card)
    return sealed


def _png(pixels: NDArray[Any]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()
