"""Everything in the TFLite metadata of any file, as it stands there.

Fields are numbered as in tensorflow_lite_support/metadata/metadata_schema.fbs, in order of declaration; a
union takes two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...edge.flatbuffer import INT8, UINT8, UINT32, FlatTable

_LENIENT = "backslashreplace"
_FILE_TYPES = (
    "unknown",
    "descriptions",
    "labels of an axis",
    "labels of values",
    "score calibration",
    "vocabulary",
    "search index",
)
_CONTENTS = ("unknown", "feature", "image", "bounding boxes", "audio")
_COLORS = ("unknown", "RGB", "grayscale")
_IMAGE = 2
_UNITS = (
    "unknown",
    "normalization",
    "score calibration",
    "score thresholding",
    "BERT tokenizer",
    "SentencePiece tokenizer",
    "regex tokenizer",
)
_NORMALIZATION = 1


@dataclass(frozen=True)
class NamedFile:
    """An appended file that the metadata names, with the type and locale that it states."""

    name: str
    type: str
    locale: str | None


@dataclass(frozen=True)
class ProcessUnit:
    """A step before or after the model. `mean` and `std` are empty for steps other than normalization."""

    kind: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class TensorMetadata:
    """The description of one input or output; `minimum` and `maximum` are of its values."""

    name: str | None
    description: str | None
    content: str | None
    process_units: tuple[ProcessUnit, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    files: tuple[NamedFile, ...]


@dataclass(frozen=True)
class Metadata:
    """The table ModelMetadata; absent fields are None or empty."""

    name: str | None
    description: str | None
    version: str | None
    author: str | None
    license: str | None
    min_parser_version: str | None
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    files: tuple[NamedFile, ...]

    @property
    def all_files(self) -> tuple[NamedFile, ...]:
        """All files that the metadata names anywhere."""
        return (*self.files, *(file for tensor in (*self.inputs, *self.outputs) for file in tensor.files))


def read_metadata(root: FlatTable) -> Metadata:
    """Read the metadata's root table; raises one of edge.flatbuffer.MALFORMED."""
    graphs = root.tables(3)
    sides = [tuple(_tensor(table) for table in graphs[0].tables(which)) if graphs else () for which in (2, 3)]
    files = _files(root, 6) + (_files(graphs[0], 4) if graphs else ())
    name, description, version, author, license_, parser = (
        root.string(number, _LENIENT) for number in (0, 1, 2, 4, 5, 7)
    )
    return Metadata(name, description, version, author, license_, parser, sides[0], sides[1], files)


def _tensor(table: FlatTable) -> TensorMetadata:
    stats = table.table(5)
    return TensorMetadata(
        name=table.string(0, _LENIENT),
        description=table.string(1, _LENIENT),
        content=_content(table.table(3)),
        process_units=tuple(_unit(unit) for unit in table.tables(4)),
        minimum=_floats(stats, 1),
        maximum=_floats(stats, 0),
        files=_files(table, 6),
    )


def _content(table: FlatTable | None) -> str | None:
    if table is None:
        return None
    code = table.scalar(0, UINT8)
    properties = table.table(1)
    if code != _IMAGE or properties is None:
        return _name(_CONTENTS, code)
    size = properties.table(1)
    side = f" {size.scalar(0, UINT32)}x{size.scalar(1, UINT32)}" if size else ""
    return f"{_name(_COLORS, properties.scalar(0, INT8))} image{side}"


def _unit(table: FlatTable) -> ProcessUnit:
    code, options = table.scalar(0, UINT8), table.table(1)
    if code == _NORMALIZATION and options is not None:
        return ProcessUnit(_name(_UNITS, code), _floats(options, 0), _floats(options, 1))
    return ProcessUnit(_name(_UNITS, code))


def _files(table: FlatTable, number: int) -> tuple[NamedFile, ...]:
    return tuple(
        NamedFile(
            file.string(0, _LENIENT) or "",
            _name(_FILE_TYPES, file.scalar(2, INT8)),
            file.string(3, _LENIENT),
        )
        for file in table.tables(number)
    )


def _floats(table: FlatTable | None, number: int) -> tuple[float, ...]:
    return tuple(float(value) for value in table.numbers(number, "<f4")) if table else ()


def _name(names: tuple[str, ...], code: int) -> str:
    return names[code] if 0 <= code < len(names) else f"number {code}"
