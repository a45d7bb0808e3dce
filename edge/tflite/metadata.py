"""Writes TFLite metadata and associated files, so that one .tflite has all that its readers need.

MediaPipe Tasks, Task Library and LiteRT readers find labels and normalization in it. Tables and fields are
those of tensorflow_lite_support/metadata/metadata_schema.fbs (fields are numbered in order of declaration, a
union takes two numbers), file identifier M001.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..card import GREY, ModelCard
from ..channels import BGR, RGB
from ..errors import ConversionError, LabelError
from ..flatbuffer import INT8, MALFORMED, FlatTable
from ..labels import parse_labels
from ..modelfile import (
    LABELS_NAME,
    METADATA_BUFFER,
    Normalization,
    find_labels_name,
    find_metadata,
    find_normalization,
)
from .builder import Field, TableBuilder
from .graph import Tensor, read_graph
from .model import EditableModel

# Numbers of enums and unions in metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _NORMALIZATION = 2, 2, 1, 1
# It has no number for BGR: readers refuse a colour space that they do not know, and would swap the colours.
_COLOR_SPACES = {BGR: 0, RGB: 1, GREY: 2}
OWN_DESCRIPTION = "Image classifier; card.json in this file has the whole contract"
_LENIENT = "backslashreplace"
_FIRST_PIXEL = {"uint8": 0, "int8": -128}  # What a pixel of 0 is, where pixels go in as they are.
_MIN_PARSER_VERSION = "1.0.0"  # The first version that reads all fields used here.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # The same input gives the same bytes.
# Pixels go in as they are: float input is 0..255 too, since scaling is inside the graph.
RAW_PIXELS = Normalization((0.0,), (1.0,))


@dataclass(frozen=True)
class Inherited:
    """What metadata says that no card does: `files` are the names, types and locales of further files."""

    name: str | None = None
    description: str | None = None
    version: str | None = None
    author: str | None = None
    license: str | None = None
    files: tuple[tuple[str, int, str | None], ...] = ()

    @classmethod
    def read(cls, metadata: FlatTable, kept: Collection[str]) -> Inherited:
        """Read it; of the files those in `kept`. Raises one of edge.flatbuffer.MALFORMED."""
        described = metadata.tables(6)
        for graph in metadata.tables(3)[:1]:
            described += graph.tables(4)
            for tensor in (*graph.tables(2), *graph.tables(3)):
                described += tensor.tables(6)
        files = [
            (one.string(0, _LENIENT) or "", one.scalar(2, INT8), one.string(3, _LENIENT)) for one in described
        ]
        return cls(
            name=metadata.string(0, _LENIENT),
            description=metadata.string(1, _LENIENT),
            version=metadata.string(2, _LENIENT),
            author=metadata.string(4, _LENIENT),
            license=metadata.string(5, _LENIENT),
            files=tuple(dict.fromkeys(file for file in files if file[0] in kept)),
        )


NOTHING_INHERITED = Inherited()


def build_metadata(
    card: ModelCard,
    normalization: Normalization = RAW_PIXELS,
    outputs: Sequence[int] = (),
    inherited: Inherited = NOTHING_INHERITED,
) -> bytes:
    """Return the metadata flatbuffer for a model with this card.

    `normalization` has its values in the order of the input's channels; see scaling_for_readers. `outputs`
    has the number of values in each output, by default one output with a value for each label. The labels
    belong to the output that the card names, unless it has a single value for two classes: other readers
    want a label for each value.
    """
    builder = TableBuilder()
    given = _input(builder, card, normalization)
    results = [
        _output(builder, card, labelled=values > 1) if number == card.output.index else builder.add_table({})
        for number, values in enumerate(outputs or (len(card.output_labels),))
    ]
    graph = builder.add_table({2: builder.add_references([given]), 3: builder.add_references(results)})
    model: dict[int, Field] = {
        0: builder.CreateString(inherited.name or card.name),
        1: builder.CreateString(inherited.description or OWN_DESCRIPTION),
        3: builder.add_references([graph]),
        7: builder.CreateString(_MIN_PARSER_VERSION),
    }
    for field, text in ((2, inherited.version), (4, inherited.author), (5, inherited.license)):
        if text:
            model[field] = builder.CreateString(text)
    if inherited.files:
        model[6] = builder.add_references([_file(builder, *file) for file in inherited.files])
    builder.Finish(builder.add_table(model), file_identifier=b"M001")
    return bytes(builder.Output())


def scaling_for_readers(card: ModelCard, given: Tensor) -> Normalization:
    """Return the normalization that the metadata must give for the input `given`.

    Readers apply it and then the input's quantization, except MediaPipe, which feeds the bytes of a uint8
    input as they are: both come to the same where pixels go in as they are.
    """
    if card.input.mean:
        order = -1 if card.input.color == BGR else 1
        return Normalization(card.input.mean[::order], card.input.std[::order])
    stored = given.quantization
    if given.dtype not in _FIRST_PIXEL or stored is None or not stored.scale:
        return RAW_PIXELS
    mean = (stored.zero_point or 0) - _FIRST_PIXEL[given.dtype]
    return Normalization((float(mean),), (float(np.float32(1 / stored.scale)),))


def _input(builder: TableBuilder, card: ModelCard, normalization: Normalization) -> int:
    fields = {
        0: builder.add_numbers(normalization.mean, "<f4"),
        1: builder.add_numbers(normalization.std, "<f4"),
    }
    unit = builder.add_table({0: ("int8", _NORMALIZATION), 1: builder.add_table(fields)})
    size = builder.add_table({0: ("uint32", card.input.width), 1: ("uint32", card.input.height)})
    image = builder.add_table({0: ("int8", _COLOR_SPACES[card.input.color]), 1: size})
    content = builder.add_table({0: ("int8", _IMAGE_PROPERTIES), 1: image})
    taken = (
        "whole picture stretched to this size" if card.preprocess.resize == "stretch" else "centre cropped"
    )
    text = f"{card.input.color} picture, values 0 to 255, {taken}"
    channels = 1 if card.input.color == GREY else 3
    mean, std = (np.asarray(part, np.float32) for part in normalization)
    low, high = (np.broadcast_to((np.float32(pixel) - mean) / std, channels) for pixel in (0, 255))
    if card.input.dtype == "uint8":  # Of the bytes that are fed, as the writers of TFLite Support have it.
        low, high = np.full(channels, 0), np.full(channels, 255)
    tensor = _tensor(builder, "image", text, content, low.tolist(), high.tolist())
    return builder.add_table({**tensor, 4: builder.add_references([unit])})


def _output(builder: TableBuilder, card: ModelCard, labelled: bool) -> int:
    content = builder.add_table({0: ("int8", _FEATURE_PROPERTIES), 1: builder.add_table({})})
    linear = card.output.activation == "linear"
    name, text = ("logit", "Logit") if linear else ("probability", "Probability")
    text += " of each label" if labelled else f" of {card.labels[1]}; the other class is {card.labels[0]}"
    bounds: tuple[list[float], ...] = () if linear else ([0.0], [1.0])
    tensor = _tensor(builder, name, text, content, *bounds)
    if labelled:
        described = "Labels in the order of the outputs, one a line"
        file = _file(builder, LABELS_NAME, _TENSOR_AXIS_LABELS, None, described)
        tensor[6] = builder.add_references([file])
    return builder.add_table(tensor)


def _file(
    builder: TableBuilder, name: str, kind: int, locale: str | None, description: str | None = None
) -> int:
    fields: dict[int, Field] = {0: builder.CreateString(name), 2: ("int8", kind)}
    for field, text in ((1, description), (3, locale)):
        if text:
            fields[field] = builder.CreateString(text)
    return builder.add_table(fields)


def _tensor(
    builder: TableBuilder,
    name: str,
    description: str,
    content: int,
    low: Sequence[float] = (),
    high: Sequence[float] = (),
) -> dict[int, Field]:
    """Return the fields that inputs and outputs have; `low` and `high` bound the values, where known."""
    tensor: dict[int, Field] = {
        0: builder.CreateString(name),
        1: builder.CreateString(description),
        3: content,
    }
    if high:
        bounds = {0: builder.add_numbers(high, "<f4"), 1: builder.add_numbers(low, "<f4")}
        tensor[5] = builder.add_table(bounds)
    return tensor


def add_metadata(flatbuffer: bytes, metadata: bytes) -> bytes:
    """Return the model with `metadata` in place of what it had; aligned weights stay aligned to 16 bytes.

    Raises ConversionError as EditableModel does; models of several graphs are taken.
    """
    model = EditableModel(flatbuffer, several_graphs=True)
    model.set_metadata(METADATA_BUFFER, metadata)
    return model.to_bytes()


def append_files(flatbuffer: bytes, files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the model with a zip of `files` behind it; the zip's offsets count from the file's start.

    Raises ConversionError for a model that has a zip already.
    """
    buffer = io.BytesIO(flatbuffer)
    if zipfile.is_zipfile(buffer):
        raise ConversionError("The model has appended files already. Cut them off first")
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.external_attr = 0o644 << 16
            info.create_system = 3  # Unix, on every machine.
            # Stored, not compressed: MediaPipe's reader takes nothing else.
            archive.writestr(info, data, zipfile.ZIP_STORED)
    return buffer.getvalue()


def check_metadata(file: bytes, card: ModelCard) -> None:
    """Read a finished file back, and raise ConversionError unless other readers find in it what `card` says.

    MediaPipe notices a wrong number of labels only when it classifies, and a wrong mean or std never.
    Readers of labels.txt drop spaces around labels.
    """
    try:
        model = FlatTable.root(file)
        graph = read_graph(model).subgraphs[0]
        shapes = [graph.tensors[index].shape for index in graph.outputs]
        expected = scaling_for_readers(card, graph.tensors[graph.inputs[0]])
        table = find_metadata(model)
        labels_name = find_labels_name(table) if table else None
        normalization = find_normalization(table) if table else None
    except MALFORMED as error:
        raise ConversionError(f"{card.name}: the model is damaged ({error})") from error
    index = card.output.index
    values = math.prod(shapes[index]) if index < len(shapes) else 0
    single = values == 1 and card.output.activation != "softmax"
    if len(card.output_labels) != (2 if single else values):
        shown = ", ".join(str(list(shape)) for shape in shapes)
        raise ConversionError(
            f"{card.name}: {len(card.output_labels)} labels need as many outputs. Received: {shown}"
        )
    _check_labels(file, card)
    if labels_name != (None if single else LABELS_NAME):
        raise ConversionError(f"{card.name}: the metadata does not name {LABELS_NAME}")
    if normalization != _rounded(expected):
        reason = ", since scaling is in the graph" if expected == RAW_PIXELS else ""
        raise ConversionError(
            f"{card.name}: the metadata must give mean {_text(expected.mean)} and std {_text(expected.std)}"
            f"{reason}. Received: {normalization}"
        )


def _check_labels(file: bytes, card: ModelCard) -> None:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        try:
            labels = parse_labels(archive.read(LABELS_NAME), LABELS_NAME)
        except LabelError as error:
            raise ConversionError(f"{card.name}: its labels cannot be written: {error}") from None
    if labels != tuple(label.strip() for label in card.output_labels):
        raise ConversionError(f"{card.name}: its labels are different when {LABELS_NAME} is read again")


def _rounded(normalization: Normalization) -> Normalization:
    """Return it in the precision of the metadata."""
    mean, std = (tuple(float(np.float32(value)) for value in part) for part in normalization)
    return Normalization(mean, std)


def _text(values: Sequence[float]) -> str:
    return "/".join(f"{value:g}" for value in values)
