"""Writes TFLite metadata and associated files, so that one .tflite is all that anyone needs.

MediaPipe Tasks, Task Library and LiteRT readers find labels and normalization in it. Table and field
order: tensorflow_lite_support/metadata/metadata_schema.fbs (fields are numbered in order of
declaration, a union takes two numbers), file identifier M001.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers

from ...edge.card import ModelCard
from ...edge.errors import ConversionError, LabelError
from ...edge.flatbuffer import FlatTable
from ...edge.labels import parse_labels
from ...edge.modelfile import (
    LABELS_NAME,
    METADATA_BUFFER,
    Normalization,
    find_labels_name,
    find_metadata,
    find_normalization,
)

# Numbers of enums and unions in metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _RGB, _NORMALIZATION = 2, 2, 1, 1, 1
_MIN_PARSER_VERSION = "1.0.0"  # The first that reads all fields used here.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # The same input gives the same bytes.


def build_metadata(card: ModelCard) -> bytes:
    """Return the metadata flatbuffer for a model with this card."""
    builder = flatbuffers.Builder(1024)
    low, high = 0.0, 255.0
    # Pixels go in as they are: float input is 0..255 too, since scaling is inside the graph.
    unit = _table(builder, 2, {0: ("byte", _NORMALIZATION), 1: ("ref", _normalization(builder, 0.0, 1.0))})
    size = _table(builder, 2, {0: ("uint", card.input.width), 1: ("uint", card.input.height)})
    image = _table(builder, 2, {0: ("byte", _RGB), 1: ("ref", size)})
    content = _table(builder, 3, {0: ("byte", _IMAGE_PROPERTIES), 1: ("ref", image)})
    given = _tensor(
        builder,
        "image",
        "RGB picture, values 0 to 255, whole picture stretched to this size"
        if card.preprocess.resize == "stretch"
        else "RGB picture, values 0 to 255, centre cropped",
        content,
        _floats(builder, [low] * 3),
        _floats(builder, [high] * 3),
        units=[unit],
    )
    file = _table(
        builder,
        5,
        {
            0: ("ref", builder.CreateString(LABELS_NAME)),
            1: ("ref", builder.CreateString("Labels in the order of the outputs, one a line")),
            2: ("byte", _TENSOR_AXIS_LABELS),
        },
    )
    feature = _table(builder, 0, {})
    content = _table(builder, 3, {0: ("byte", _FEATURE_PROPERTIES), 1: ("ref", feature)})
    result = _tensor(
        builder,
        "probability",
        "Probability of each label",
        content,
        _floats(builder, [0.0]),
        _floats(builder, [1.0]),
        files=[file],
    )
    graph = _table(builder, 10, {2: ("ref", _refs(builder, [given])), 3: ("ref", _refs(builder, [result]))})
    model = {
        0: ("ref", builder.CreateString(card.name)),
        1: ("ref", builder.CreateString("Image classifier; card.json in this file has the whole contract")),
        3: ("ref", _refs(builder, [graph])),
        7: ("ref", builder.CreateString(_MIN_PARSER_VERSION)),
    }
    builder.Finish(_table(builder, 8, model), file_identifier=b"M001")
    return bytes(builder.Output())


def add_metadata(flatbuffer: bytes, metadata: bytes) -> bytes:
    """Return the model with `metadata` in the buffer TFLITE_METADATA; weights stay aligned to 16 bytes."""
    from ai_edge_litert import schema_py_generated as schema

    from .flatgraph import pack, unpack

    model = unpack(flatbuffer)
    entry = schema.MetadataT(name=METADATA_BUFFER, buffer=len(model.buffers))
    model.buffers.append(schema.BufferT(data=list(metadata)))
    model.metadata = [*(model.metadata or []), entry]
    return pack(model)


def append_files(flatbuffer: bytes, files: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the model with a zip of `files` behind it; the zip's offsets count from the file's start."""
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, data in files:
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.external_attr = 0o644 << 16
            info.create_system = 3  # Unix, on every machine.
            # Stored, not compressed: MediaPipe's reader takes nothing else.
            archive.writestr(info, data, zipfile.ZIP_STORED)
    return buffer.getvalue()


def check_metadata(file: bytes, card: ModelCard) -> None:
    """Read a finished file back, and raise ConversionError unless other readers get from it what `card` says.

    MediaPipe finds a wrong number of labels only when it classifies, and a wrong mean or std never. Pixels go
    in as they are, so mean must be 0 and std 1. Readers of labels.txt drop spaces around labels.
    """
    model = FlatTable.root(file)
    graph = model.tables(2)[0]
    outputs = [graph.tables(0)[index].numbers(0, "<i4") for index in graph.numbers(2, "<i4")]
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
        raise ConversionError(f"{card.name}: its labels are others when {LABELS_NAME} is read again")
    table = find_metadata(model)
    if table is None or find_labels_name(table) != LABELS_NAME:
        raise ConversionError(f"{card.name}: the metadata does not name {LABELS_NAME}")
    if (normalization := find_normalization(table)) != Normalization((0.0,), (1.0,)):
        raise ConversionError(
            f"{card.name}: the metadata must give mean 0 and std 1, since scaling is in the graph. "
            f"Received: {normalization}"
        )


def _table(builder: Any, fields: int, values: dict[int, tuple[str, int]]) -> int:
    builder.StartObject(fields)
    for number, (kind, value) in values.items():
        if kind == "ref":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        elif kind == "byte":
            builder.PrependInt8Slot(number, value, 0)
        else:
            builder.PrependUint32Slot(number, value, 0)
    return int(builder.EndObject())


def _refs(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: Any, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


def _normalization(builder: Any, mean: float, std: float) -> int:
    pair = {0: ("ref", _floats(builder, [mean])), 1: ("ref", _floats(builder, [std]))}
    return _table(builder, 2, pair)


def _tensor(
    builder: Any,
    name: str,
    description: str,
    content: int,
    low: int,
    high: int,
    units: Sequence[int] = (),
    files: Sequence[int] = (),
) -> int:
    fields = {
        0: ("ref", builder.CreateString(name)),
        1: ("ref", builder.CreateString(description)),
        3: ("ref", content),
        5: ("ref", _table(builder, 2, {0: ("ref", high), 1: ("ref", low)})),
    }
    if units:
        fields[4] = ("ref", _refs(builder, units))
    if files:
        fields[6] = ("ref", _refs(builder, files))
    return _table(builder, 7, fields)
