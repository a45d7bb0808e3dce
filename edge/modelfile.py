"""Reads what travels inside a .tflite: the card, labels, TFLite metadata, golden examples, checksum.

A .tflite is a flatbuffer, after which a zip may be appended (see appended.py). Both are untrusted input:
sizes and counts are bounded. Writing all this is the business of `edge_classify.convert`.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .appended import Directory, read_directory, read_entry
from .card import ModelCard
from .errors import CardError, ModelFileError
from .flatbuffer import INT8, INT32, MALFORMED, UINT8, UINT32, FlatTable
from .labels import parse_labels

CARD_NAME = "card.json"
LABELS_NAME = "labels.txt"
METADATA_BUFFER = "TFLITE_METADATA"
IDENTIFIER = b"TFL3"
MAX_TEXT_BYTES = 4 * 1024 * 1024  # Of card and labels: parsed JSON takes up to 30 times as much memory.

# Codes of BuiltinOperator in TFLite's schema.fbs.
_DEQUANTIZE, _LOGISTIC, _RESHAPE, _SOFTMAX, _QUANTIZE = 6, 14, 22, 25, 114
# Codes of AssociatedFileType and ProcessUnitOptions in metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _NORMALIZATION_OPTIONS = 2, 1


class Normalization(NamedTuple):
    """input = (pixel - mean) / std, with one value or one a channel, for pixels 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class ModelFile(NamedTuple):
    """What a .tflite says about itself, without the interpreter.

    `labels` come from the card or else from the TFLite metadata, `normalization` from the TFLite
    metadata. `gives_probabilities` is whether there is a card, or the graph ends in softmax or sigmoid,
    read from its last operation; where it is False the outputs are logits. `zip_offset` is the length of the
    flatbuffer: where the appended zip starts, or the file's size.
    """

    path: Path
    card: ModelCard | None
    labels: tuple[str, ...] | None
    normalization: Normalization | None
    gives_probabilities: bool
    zip_offset: int

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """Read and check a .tflite file.

        Raises ModelFileError when it is no TFLite model, does not match its checksum, or has a hostile
        zip; CardError when its card is broken, and LabelError when its labels are.
        """
        with mapped(path) as data:
            directory = read_directory(path)
            directory.check()
            card = read_card(directory)
            if card is not None:
                _check_sha256(path, data, directory.start, card)
            with tables_of(path):
                model = FlatTable.root(data)
                metadata = find_metadata(model)
                labels_name = find_labels_name(metadata) if metadata else None
                normalization = find_normalization(metadata) if metadata else None
                gives_probabilities = card is not None or _gives_probabilities(model)
        labels = card.labels if card else None
        if labels is None and labels_name in directory.names:
            raw = read_entry(path, labels_name, MAX_TEXT_BYTES)
            labels = parse_labels(raw, f"{path}: {labels_name}")
        return cls(path, card, labels, normalization, gives_probabilities, directory.start)


def read_card(directory: Directory) -> ModelCard | None:
    """Return the card of a file whose appended zip was checked; None where it has none.

    Raises CardError when it is broken, or names golden examples that cannot be.
    """
    if CARD_NAME not in directory.names:
        return None
    try:
        card = ModelCard.from_json(read_entry(directory.path, CARD_NAME, MAX_TEXT_BYTES))
        _check_golden(card, directory)
    except CardError as error:
        raise CardError(f"{directory.path}: {error}") from None
    return card


def _check_golden(card: ModelCard, directory: Directory) -> None:
    if len(card.golden) > len(directory.names):
        raise CardError(f"card.json names {len(card.golden)} golden examples, more than there are files")
    for number, example in enumerate(card.golden):
        if example.image not in directory.names:
            raise CardError(
                f"card.json: golden example {number} is a file that is not there: {example.image[:80]!r}"
            )
        if len(example.expected) != len(card.labels):
            raise CardError(
                f"card.json: golden example {number} has {len(example.expected)} probabilities for "
                f"{len(card.labels)} labels"
            )
        if not (all(map(math.isfinite, example.expected)) and 0 <= example.tolerance <= 1):
            raise CardError(
                f"card.json: golden example {number} has probabilities that are no numbers, or a tolerance "
                f"that is not 0 to 1. Received: {example.tolerance}"
            )


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file that starts like a .tflite into memory; raises ModelFileError for any other."""
    try:
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file" if not path.exists() else f"{path} is not a file")
        with path.open("rb") as file:
            if len(head := file.read(8)) < 8 or head[4:] != IDENTIFIER:
                raise ModelFileError(
                    f"{path} is not a TFLite model: it starts with {head!r}, and a model has "
                    f"{IDENTIFIER!r} at byte 4"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror})") from None


@contextmanager
def tables_of(path: Path) -> Iterator[None]:
    """Turn what a malformed flatbuffer makes FlatTable raise into ModelFileError."""
    try:
        yield
    except MALFORMED as error:
        raise ModelFileError(
            f"{path} is damaged: its tables cannot be read ({type(error).__name__}). "
            "Copy or download it again"
        ) from None


def _check_sha256(path: Path, data: mmap.mmap, end: int, card: ModelCard) -> None:
    if card.sha256 is None:
        return
    import hashlib  # Loads OpenSSL, which models without a card need not wait for.

    with memoryview(data) as view, view[:end] as model:
        actual = hashlib.sha256(model).hexdigest()
    if actual != card.sha256:
        raise ModelFileError(
            f"{path} is damaged: its checksum is {actual[:12]}..., and its card says {card.sha256[:12]}... "
            "Copy or convert it again"
        )


def find_metadata(model: FlatTable) -> FlatTable | None:
    """Return the root of the TFLite metadata, ModelMetadata, or None where the model has none."""
    for entry in model.tables(6):
        if entry.string(0) == METADATA_BUFFER:
            raw = model.tables(4)[entry.scalar(1, UINT32)].numbers(0, "u1").tobytes()
            return FlatTable.root(raw) if raw else None
    return None


def _tensor_metadata(metadata: FlatTable, field: int) -> FlatTable | None:
    """Return TensorMetadata of the first input (field 2) or output (field 3)."""
    subgraphs = metadata.tables(3)
    tensors = subgraphs[0].tables(field) if subgraphs else []
    return tensors[0] if tensors else None


def find_labels_name(metadata: FlatTable) -> str | None:
    """Return the name of the appended file that holds the output's labels; None where none is named."""
    output = _tensor_metadata(metadata, 3)
    for file in output.tables(6) if output else []:
        if file.scalar(2, INT8) == _TENSOR_AXIS_LABELS:
            return file.string(0)
    return None


def find_normalization(metadata: FlatTable) -> Normalization | None:
    """Return what the metadata says about the input; None where it says nothing that can be applied."""
    tensor = _tensor_metadata(metadata, 2)
    for unit in tensor.tables(4) if tensor else []:
        options = unit.table(1)
        if unit.scalar(0, UINT8) == _NORMALIZATION_OPTIONS and options is not None:
            mean, std = (tuple(float(v) for v in options.numbers(field, "<f4")) for field in (0, 1))
            usable = len(mean) in (1, 3) and len(std) in (1, 3) and min(std) > 0
            return Normalization(mean, std) if usable and all(map(math.isfinite, mean + std)) else None
    return None


def _gives_probabilities(model: FlatTable) -> bool:
    """Follow the first output back through operations that keep its meaning, to what computed it."""
    codes = [
        max(code.scalar(0, INT8), code.scalar(3, INT32))  # The old field holds what fits into a byte.
        for code in model.tables(1)
    ]
    graph = model.tables(2)[0]
    makers = {int(t): op for op in graph.tables(3) for t in op.numbers(2, "<i4")}
    tensor = int(graph.numbers(2, "<i4")[0])
    for _ in range(len(makers)):
        if tensor not in makers:
            return False
        code = codes[makers[tensor].scalar(0, UINT32)]
        if code not in (_DEQUANTIZE, _QUANTIZE, _RESHAPE):
            return code in (_SOFTMAX, _LOGISTIC)
        tensor = int(makers[tensor].numbers(1, "<i4")[0])
    return False
