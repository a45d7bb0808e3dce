"""Reads the contents of a .tflite: the card, labels, TFLite metadata, golden examples, checksum.

A .tflite is a flatbuffer, after which a zip may be appended (see appended.py). Both are untrusted input:
sizes and counts are bounded. Writing all this is the business of `edge_classify.convert`.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .appended import Directory, read_directory
from .card import ModelCard
from .errors import CardError, ModelFileError, model_name
from .flatbuffer import INT8, MALFORMED, UINT8, UINT32, FlatTable
from .labels import parse_labels
from .meanings import BY_CARD, OF_ACTIVATION, UNREAD, OutputMeaning, Statement
from .output_meaning import meanings_of_tflite
from .placeholders import PLACEHOLDER_BYTES, placeholder

CARD_NAME = "card.json"
LABELS_NAME = "labels.txt"
METADATA_BUFFER = "TFLITE_METADATA"
IDENTIFIER = b"TFL3"
MAX_TEXT_BYTES = 4 * 1024 * 1024  # Of card and labels: parsed JSON takes up to 30 times as much memory.

# Codes of AssociatedFileType and ProcessUnitOptions in metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _NORMALIZATION_OPTIONS = 2, 1


class Normalization(NamedTuple):
    """input = (pixel - mean) / std, with one value or one a channel, for pixels 0..255.

    Example:
        >>> Normalization.parse("-1..1")
        Normalization(mean=(127.5,), std=(127.5,))
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Normalization:
        """Read 0..255, 0..1, -1..1, or MEAN,STD: one pair, or the means and stds of R, G and B.

        Raises ValueError for anything else, and where the values must be meant for pixels 0..1.
        """
        if text in NAMED_NORMALIZATIONS:
            return NAMED_NORMALIZATIONS[text]
        number = r"[-+]?\d{1,9}(?:\.\d+)?"
        values = [float(part) for part in text.split(",") if re.fullmatch(number, part)]
        mean, std = values[: len(values) // 2], values[len(values) // 2 :]
        if len(values) != text.count(",") + 1 or len(values) not in (2, 6) or min(std) <= 0:
            raise ValueError(
                f"must be {', '.join(NAMED_NORMALIZATIONS)}, or MEAN,STD such as 127.5,127.5, or of each "
                f"channel, MEAN_R,MEAN_G,MEAN_B,STD_R,STD_G,STD_B. Received: {text}"
            )
        if min(std) < 1:
            raise ValueError(
                "must be for pixels 0..255: multiply MEAN,STD that are for pixels 0..1 by 255. "
                f"Received: {text}"
            )
        return cls(tuple(mean), tuple(std))

    def to_text(self) -> str:
        """Return what `parse` reads, without exponents."""
        for name, normalization in NAMED_NORMALIZATIONS.items():
            if normalization == self:
                return name
        channels = max(len(self.mean), len(self.std))
        values = [value for part in self for value in (part if len(part) == channels else part * channels)]
        return ",".join(np.format_float_positional(value, trim="-") for value in values)


# The ranges that pixels 0..255 are brought to, by their names.
NAMED_NORMALIZATIONS = {
    "0..255": Normalization((0.0,), (1.0,)),
    "0..1": Normalization((0.0,), (255.0,)),
    "-1..1": Normalization((127.5,), (127.5,)),
}


class ModelFile(NamedTuple):
    """The facts that a .tflite states about itself, read without the interpreter.

    `model` is the file, or its bytes, and `name` its name in messages. `labels` come from the card or else
    from the TFLite metadata, `normalization` from the TFLite metadata. `outputs` has what the file states
    about each output, of the first 64, or its card about the one that has the classes. `zip_offset` is the
    length of the flatbuffer: where the appended zip starts, or the file's size.
    """

    model: Path | bytes
    name: str
    card: ModelCard | None
    labels: tuple[str, ...] | None
    normalization: Normalization | None
    outputs: tuple[Statement, ...]
    zip_offset: int

    @classmethod
    def read(cls, model: Path | bytes, name: str | None = None) -> ModelFile:
        """Read and check a .tflite: a file, or its bytes.

            ModelFile.read(Path("cnn_int8.tflite"))
            ModelFile.read(flatbuffer, "cnn_int8")

        `name` is by default the path, or "the model". Raises ModelFileError when it is no TFLite model, does
        not match its checksum, or has a hostile zip; CardError when its card is broken, and LabelError when
        its labels are.
        """
        name = name or model_name(model)
        with mapped(model, name) as data:
            directory = read_directory(model, name)
            directory.check()
            card = read_card(directory)
            if card is not None:
                _check_sha256(name, data, directory.start, card)
            with tables_of(name):
                root = FlatTable.root(data)
                metadata = find_metadata(root)
                labels_name = find_labels_name(metadata) if metadata else None
                normalization = find_normalization(metadata) if metadata else None
                outputs = _stated(card) if card is not None else meanings_of_tflite(root, metadata)
        labels = card.labels if card else None
        if labels is None and labels_name is not None and labels_name in directory.names:
            labels = parse_labels(directory.read(labels_name, MAX_TEXT_BYTES), f"{name}: {labels_name}")
        return cls(model, name, card, labels, normalization, outputs, directory.start)

    @property
    def gives_probabilities(self) -> bool:
        """Whether probabilities are stated of the first output, of classes that exclude each other or not."""
        return self.statement(0).meaning in (OutputMeaning.PROBABILITIES, OutputMeaning.SIGMOIDS)

    def statement(self, output: int) -> Statement:
        """Return what the file states about its output of that number."""
        if self.card is not None:
            return self.outputs[0]
        return self.outputs[output] if output < len(self.outputs) else UNREAD


def _stated(card: ModelCard) -> tuple[Statement]:
    return (Statement(OF_ACTIVATION[card.output.activation], True, BY_CARD),)


def read_card(directory: Directory) -> ModelCard | None:
    """Return the card of a file whose appended zip was checked; None where it has none.

    Raises CardError when it is broken, or names impossible golden examples.
    """
    if CARD_NAME not in directory.names:
        return None
    try:
        card = ModelCard.from_json(directory.read(CARD_NAME, MAX_TEXT_BYTES))
        _check_golden(card, directory)
    except CardError as error:
        raise CardError(f"{directory.name}: {error}") from None
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
def mapped(model: Path | bytes, name: str | None = None) -> Iterator[mmap.mmap | bytes]:
    """Map a file that starts like a .tflite into memory, or check bytes that are there already.

    Raises ModelFileError, which calls the model `name`, for anything else.
    """
    name = name or model_name(model)
    if isinstance(model, bytes):
        _check_start(name, model[:PLACEHOLDER_BYTES])
        yield model
        return
    try:
        if not model.is_file():
            raise ModelFileError(
                f"{name}: no such file" if not model.exists() else f"{name} {_no_file(model)}"
            )
        with model.open("rb") as file:
            _check_start(name, file.read(PLACEHOLDER_BYTES))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data
    except OSError as error:
        raise ModelFileError(f"{name} cannot be read ({error.strerror})") from None


def _no_file(path: Path) -> str:
    """Return what is said of a folder in place of a file."""
    from .other_formats import folder_format

    return folder_format(path) or "is not a file"


def _check_start(name: str, head: bytes) -> None:
    if head[4:8] == IDENTIFIER:
        return
    from .other_formats import other_format

    if instead := placeholder(head) or other_format(name, head):
        raise ModelFileError(f"{name} {instead}")
    raise ModelFileError(
        f"{name} is not a TFLite model: it starts with {head[:8]!r}, and a model has {IDENTIFIER!r} at byte 4"
    )


@contextmanager
def tables_of(name: str | Path) -> Iterator[None]:
    """Raise ModelFileError in place of the exceptions of FlatTable for a malformed flatbuffer."""
    try:
        yield
    except MALFORMED:
        raise ModelFileError(
            f"{name} is damaged: its tables cannot be read, since they lead beyond its end or hold what no "
            "table holds. Copy or download it again"
        ) from None


def _check_sha256(name: str, data: mmap.mmap | bytes, end: int, card: ModelCard) -> None:
    if card.sha256 is None:
        return
    import hashlib  # Loads OpenSSL, for which models without a card need not wait.

    with memoryview(data) as view, view[:end] as model:
        actual = hashlib.sha256(model).hexdigest()
    if actual != card.sha256:
        raise ModelFileError(
            f"{name} is damaged: its checksum is {actual[:12]}..., and its card says {card.sha256[:12]}... "
            "Copy or convert it again"
        )


def find_metadata(model: FlatTable) -> FlatTable | None:
    """Return the root of the TFLite metadata, ModelMetadata, or None where the model has none."""
    for entry in model.tables(6):
        if entry.string(0) == METADATA_BUFFER:
            raw = model.tables(4)[entry.scalar(1, UINT32)].numbers(0, "u1").tobytes()
            return FlatTable.root(raw) if raw else None
    return None


def _tensor_metadata(metadata: FlatTable, field: int) -> list[FlatTable]:
    """Return TensorMetadata of the inputs (field 2) or outputs (field 3)."""
    subgraphs = metadata.tables(3)
    return subgraphs[0].tables(field) if subgraphs else []


def find_labels_name(metadata: FlatTable) -> str | None:
    """Return the name of the appended file with the labels of an output, the first that has some, or None."""
    for output in _tensor_metadata(metadata, 3):
        for file in output.tables(6):
            if file.scalar(2, INT8) == _TENSOR_AXIS_LABELS:
                return file.string(0)
    return None


def find_normalization(metadata: FlatTable) -> Normalization | None:
    """Return the normalization of the input in the metadata; None where it has none that can be applied."""
    inputs = _tensor_metadata(metadata, 2)
    for unit in inputs[0].tables(4) if inputs else []:
        options = unit.table(1)
        if unit.scalar(0, UINT8) == _NORMALIZATION_OPTIONS and options is not None:
            mean, std = (tuple(float(v) for v in options.numbers(field, "<f4")) for field in (0, 1))
            usable = len(mean) in (1, 3) and len(std) in (1, 3) and min(std) > 0
            return Normalization(mean, std) if usable and all(map(math.isfinite, mean + std)) else None
    return None
