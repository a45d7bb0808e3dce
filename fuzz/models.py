"""Readers of model files: flatbuffer, graph, appended zip, card, and the messages of isolated models."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from edge_classify.edge.appended import read_directory
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import CardError, ConversionError, ModelFileError
from edge_classify.edge.flatbuffer import MALFORMED, FlatTable
from edge_classify.edge.isolation.messages import (
    AnimationAnswer,
    BrokenMessageError,
    FrameAnswer,
    SandboxAnswer,
    SizeAnswer,
    TensorDetails,
    parse_answer,
    parse_failure,
    parse_ready,
)
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.tflite.graph import read_graph
from edge_classify.edge.tflite.last_layer import takes_temperature
from edge_classify.edge.tflite.model import EditableModel

from tests.support.tiny_model import card, classifier, write_sealed

from .target import Target

_MOST_FIELDS = 8  # Those of a model, and one more.


def _walk(data: bytes) -> None:
    """Read every field of the root table as each of the types, and a few tables below it once more."""
    for field in range(_MOST_FIELDS):
        for name in ("table", "tables", "string", "vector_bytes", "target"):
            root = FlatTable.root(data)
            try:
                found = getattr(root, name)(field)
            except MALFORMED:
                continue
            for table in found[:8] if isinstance(found, list) else [found]:
                if isinstance(table, FlatTable):
                    _below(table)
    _ = read_graph(FlatTable.root(data))


def _below(table: FlatTable) -> None:
    for field in range(3):
        try:
            _ = table.string(field), table.numbers(field, "<i4"), table.table(field)
        except MALFORMED:
            continue


def _model(data: bytes) -> None:
    file = ModelFile.read(data)
    for number in range(2):
        _ = file.statement(number)


def _edited(data: bytes) -> None:
    """Take a model apart and put it together again, as sealing does."""
    takes_temperature(data)
    EditableModel(data).to_bytes()


def _zip(data: bytes) -> None:
    directory = read_directory(data)
    directory.check()
    for name in directory.names:
        directory.read(name)


def _card(data: bytes) -> None:
    text = ModelCard.from_json(data).to_json()
    assert ModelCard.from_json(text).to_json() == text, "a card that is read again differs"


def _messages(data: bytes) -> None:
    kinds = (SandboxAnswer, SizeAnswer, AnimationAnswer, FrameAnswer)
    readers = [
        parse_ready,
        parse_failure,
        *(lambda raw, kind=kind: parse_answer(kind, raw) for kind in kinds),
    ]
    for read in readers:
        try:
            found = read(data)
        except BrokenMessageError:
            continue
        for tensor in getattr(found, "inputs", ()):
            _ = tensor.to_details()


def _sealed() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_sealed(Path(folder) / "m.tflite").read_bytes()


def _model_seeds() -> Iterator[bytes]:
    yield _sealed()
    yield classifier()
    yield classifier("Nobody's")
    yield classifier(half=True)


def _flatbuffer_seeds() -> Iterator[bytes]:
    yield classifier()
    yield classifier("Nobody's")


def _zip_seeds() -> Iterator[bytes]:
    yield _sealed()
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = BytesIO(classifier())
        with zipfile.ZipFile(buffer, "a", method) as archive:
            archive.writestr("labels.txt", "cat\ndog\n")
            archive.writestr("card.json", card().to_json())
        yield buffer.getvalue()


def _card_seeds() -> Iterator[bytes]:
    yield card().to_json().encode()
    spec = '"input": {"height": 8, "width": 8, "dtype": "uint8"}'
    yield f'{{"format": "1.4", "name": "m", "labels": ["a", "b"], {spec}}}'.encode()


def _message_seeds() -> Iterator[bytes]:
    tensor = vars(TensorDetails(0, [1, 8, 8, 3], [], "float32", 0.0, 0))
    yield json.dumps({"inputs": [tensor], "outputs": [tensor], "remarks": ["x"], "missing": []}).encode()
    yield b'{"name": "ModelFileError", "text": "it is damaged"}'
    yield b'{"end": false, "size": [4, 3], "error": null, "index": 1, "seconds": 0.5}'
    yield b'{"missing": ["x"]}'
    yield b'{"several": true}'


TARGETS = (
    Target("flatbuffer", _walk, MALFORMED, _flatbuffer_seeds, 8192),
    Target("model", _model, (ModelFileError,), _model_seeds, 16384),
    Target("edited_model", _edited, (ConversionError,), _flatbuffer_seeds, 8192),
    Target("zip", _zip, (ModelFileError,), _zip_seeds, 16384),
    Target("card", _card, (CardError,), _card_seeds),
    Target("messages", _messages, (), _message_seeds),
)
