"""Writes TFLite metadata and associated files, so that one .tflite has all that its readers need.

MediaPipe Tasks, Task Library and LiteRT readers find labels and normalization in it. Tables and fields are
those of tensorflow_lite_support/metadata/metadata_schema.fbs (fields are numbered in order of declaration, a
union takes two numbers), file identifier M001.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

from ..card import ModelCard
from ..errors import ConversionError, LabelError
from ..flatbuffer import MALFORMED, FlatTable
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
from .model import EditableModel

# Numbers of enums and unions in metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _RGB, _NORMALIZATION = 2, 2, 1, 1, 1
_MIN_PARSER_VERSION = "1.0.0"  # The first version that reads all fields used here.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # The same input gives the same bytes.
# Pixels go in as they are: float input is 0..255 too, since scaling is inside the graph.
RAW_PIXELS = Normalization((0.0,), (1.0,))


def build_metadata(card: ModelCard, normalization: Normalization = RAW_PIXELS) -> bytes:
    """Return the metadata flatbuffer for a model with this card."""
    builder = TableBuilder()
    given, result = _input(builder, card, normalization), _output(builder)
    graph = builder.add_table({2: builder.add_references([given]), 3: builder.add_references([result])})
    model = {
        0: builder.CreateString(card.name),
        1: builder.CreateString("Image classifier; card.json in this file has the whole contract"),
        3: builder.add_references([graph]),
        7: builder.CreateString(_MIN_PARSER_VERSION),
    }
    builder.Finish(builder.add_table(model), file_identifier=b"M001")
    return bytes(builder.Output())


def _input(builder: TableBuilder, card: ModelCard, normalization: Normalization) -> int:
    fields = {
        0: builder.add_numbers(normalization.mean, "<f4"),
        1: builder.add_numbers(normalization.std, "<f4"),
    }
    unit = builder.add_table({0: ("int8", _NORMALIZATION), 1: builder.add_table(fields)})
    size = builder.add_table({0: ("uint32", card.input.width), 1: ("uint32", card.input.height)})
    image = builder.add_table({0: ("int8", _RGB), 1: size})
    content = builder.add_table({0: ("int8", _IMAGE_PROPERTIES), 1: image})
    taken = (
        "whole picture stretched to this size" if card.preprocess.resize == "stretch" else "centre cropped"
    )
    tensor = _tensor(builder, "image", f"RGB picture, values 0 to 255, {taken}", content, [255.0] * 3)
    return builder.add_table({**tensor, 4: builder.add_references([unit])})


def _output(builder: TableBuilder) -> int:
    labels: dict[int, Field] = {
        0: builder.CreateString(LABELS_NAME),
        1: builder.CreateString("Labels in the order of the outputs, one a line"),
        2: ("int8", _TENSOR_AXIS_LABELS),
    }
    file = builder.add_table(labels)
    content = builder.add_table({0: ("int8", _FEATURE_PROPERTIES), 1: builder.add_table({})})
    tensor = _tensor(builder, "probability", "Probability of each label", content, [1.0])
    return builder.add_table({**tensor, 6: builder.add_references([file])})


def _tensor(
    builder: TableBuilder, name: str, description: str, content: int, most: Sequence[float]
) -> dict[int, Field]:
    """Return the fields that inputs and outputs have; values are from 0 to `most`."""
    bounds = {0: builder.add_numbers(most, "<f4"), 1: builder.add_numbers([0.0] * len(most), "<f4")}
    return {
        0: builder.CreateString(name),
        1: builder.CreateString(description),
        3: content,
        5: builder.add_table(bounds),
    }


def add_metadata(flatbuffer: bytes, metadata: bytes) -> bytes:
    """Return the model with `metadata` in place of what it had; aligned weights stay aligned to 16 bytes.

    Raises ConversionError as EditableModel does.
    """
    model = EditableModel(flatbuffer)
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

    MediaPipe notices a wrong number of labels only when it classifies, and a wrong mean or std never. Pixels
    go in as they are, so mean must be 0 and std 1. Readers of labels.txt drop spaces around labels.
    """
    try:
        model = FlatTable.root(file)
        graph = model.tables(2)[0]
        outputs = [graph.tables(0)[index].numbers(0, "<i4") for index in graph.numbers(2, "<i4")]
        table = find_metadata(model)
        labels_name = find_labels_name(table) if table else None
        normalization = find_normalization(table) if table else None
    except MALFORMED as error:
        raise ConversionError(f"{card.name}: the model is damaged ({error})") from error
    if len(outputs) != 1 or int(outputs[0][-1]) != len(card.labels):
        shapes = ", ".join(str(shape.tolist()) for shape in outputs)
        raise ConversionError(
            f"{card.name}: {len(card.labels)} labels need as many outputs. Received: {shapes}"
        )
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        try:
            labels = parse_labels(archive.read(LABELS_NAME), LABELS_NAME)
        except LabelError as error:
            raise ConversionError(f"{card.name}: its labels cannot be written: {error}") from None
    if labels != tuple(label.strip() for label in card.labels):
        raise ConversionError(f"{card.name}: its labels are different when {LABELS_NAME} is read again")
    if labels_name != LABELS_NAME:
        raise ConversionError(f"{card.name}: the metadata does not name {LABELS_NAME}")
    if normalization != RAW_PIXELS:
        raise ConversionError(
            f"{card.name}: the metadata must give mean 0 and std 1, since scaling is in the graph. "
            f"Received: {normalization}"
        )
