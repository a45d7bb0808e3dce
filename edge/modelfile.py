"""Reads what travels inside a .tflite: the card, labels, TFLite metadata, golden examples, checksum.

A .tflite is a flatbuffer, after which a zip may be appended; its entries are TFLite's "associated
files". Both are untrusted input: sizes and counts are bounded, and nothing is extracted to disk.
Writing all this is the business of `edge_classify.convert`.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .card import ModelCard
from .errors import CardError, ModelFileError
from .flatbuffer import INT8, INT32, MALFORMED, UINT8, UINT32, FlatTable
from .labels import parse_labels

CARD_NAME = "card.json"
LABELS_NAME = "labels.txt"
METADATA_BUFFER = "TFLITE_METADATA"
IDENTIFIER = b"TFL3"
MAX_ENTRIES = 256
MAX_ENTRY_BYTES = 16 * 1024 * 1024
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for damaged archives.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)

# Codes of BuiltinOperator in TFLite's schema.fbs.
_DEQUANTIZE, _LOGISTIC, _RESHAPE, _SOFTMAX, _QUANTIZE = 6, 14, 22, 25, 114
TEXT_NAMES = (".json", ".txt")
# Codes of AssociatedFileType and ProcessUnitOptions in metadata_schema.fbs.
_TENSOR_AXIS_LABELS, _NORMALIZATION_OPTIONS = 2, 1


@dataclass(frozen=True)
class Normalization:
    """input = (pixel - mean) / std, with one value or one a channel, for pixels 0..255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModelFile:
    """What a .tflite says about itself, without the interpreter.

    `labels` come from the card or else from the TFLite metadata, `normalization` from the TFLite
    metadata. `gives_probabilities` is whether the graph ends in softmax or sigmoid, read from its
    last operation; where it is False the outputs are logits. `zip_offset` is the length of the
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

        Raises ModelFileError when it is no TFLite model or does not match its checksum, CardError
        when its card is broken, and LabelError when its labels are.
        """
        with _mapped(path) as data:
            entries, zip_offset = _read_zip(path)
            try:
                card = ModelCard.from_json(entries[CARD_NAME]) if CARD_NAME in entries else None
            except CardError as error:
                raise CardError(f"{path}: {error}") from None
            if card is not None:
                _check_sha256(path, data, zip_offset, card)
            try:
                model = FlatTable.root(data)
                metadata = _metadata(model)
                labels_name = _labels_name(metadata) if metadata else None
                normalization = _normalization(metadata) if metadata else None
                gives_probabilities = _gives_probabilities(model)
            except MALFORMED as error:
                raise ModelFileError(
                    f"{path} is damaged: its tables cannot be read ({type(error).__name__}). "
                    "Copy or download it again"
                ) from None
        labels = card.labels if card else None
        if labels is None and labels_name in entries:
            labels = parse_labels(entries[labels_name], f"{path}: {labels_name}")
        return cls(path, card, labels, normalization, gives_probabilities, zip_offset)


def read_entry(path: Path, name: str) -> bytes:
    """Return the associated file `name` inside the .tflite at `path`; raises ModelFileError."""
    entries, _ = _read_zip(path, only=name)
    if name not in entries:
        raise ModelFileError(f"{path} holds no file {name}")
    return entries[name]


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
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


def _read_zip(path: Path, only: str | None = None) -> tuple[dict[str, bytes], int]:
    """Return the small text entries (or the one named `only`), and where the zip starts."""
    if not zipfile.is_zipfile(path):
        return {}, path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_ENTRIES:
                raise ModelFileError(f"{path} has {len(infos)} appended files; {MAX_ENTRIES} are allowed")
            wanted = [i for i in infos if (i.filename == only if only else i.filename.endswith(TEXT_NAMES))]
            if sum(info.file_size for info in wanted) > MAX_ENTRY_BYTES:
                names = ", ".join(info.filename for info in wanted[:3])
                raise ModelFileError(
                    f"{path}: its appended files ({names}) are larger than {MAX_ENTRY_BYTES >> 20} MiB"
                )
            if any(info.compress_type not in _COMPRESSIONS for info in wanted):
                raise ModelFileError(f"{path}: its appended files are neither stored nor deflated")
            offset = min((info.header_offset for info in infos), default=path.stat().st_size)
            return {info.filename: archive.read(info) for info in wanted}, offset
    except _ZIP_ERRORS as error:
        raise ModelFileError(f"{path}: its appended files are damaged ({error})") from None


def _check_sha256(path: Path, data: mmap.mmap, end: int, card: ModelCard) -> None:
    if card.sha256 is None:
        return
    with memoryview(data) as view, view[:end] as model:
        actual = hashlib.sha256(model).hexdigest()
    if actual != card.sha256:
        raise ModelFileError(
            f"{path} is damaged: its checksum is {actual[:12]}..., and its card says {card.sha256[:12]}... "
            "Copy or convert it again"
        )


def _metadata(model: FlatTable) -> FlatTable | None:
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


def _labels_name(metadata: FlatTable) -> str | None:
    output = _tensor_metadata(metadata, 3)
    for file in output.tables(6) if output else []:
        if file.scalar(2, INT8) == _TENSOR_AXIS_LABELS:
            return file.string(0)
    return None


def _normalization(metadata: FlatTable) -> Normalization | None:
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
