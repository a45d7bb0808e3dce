"""A .tflite whose weights, scales and metadata can be changed, with numpy and flatbuffers alone.

Generated classes would copy every table and drop those that they do not know, and 32-bit ARM has none. Here
the old bytes stay as they are. What keeps its size is changed in place. What gets longer is appended, since
the offsets of a flatbuffer only point forward. A table that gets a new entry is written again in front of
the old bytes, into which it points.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConversionError
from ..flatbuffer import INT32, MALFORMED, UINT32, UINT64, FlatTable
from ..modelfile import IDENTIFIER
from .builder import Field, TableBuilder
from .graph import Operator, Subgraph, Tensor, read_graph
from .schema import ALIGNMENT

# Numbers of fields in schema.fbs.
_VERSION, _SUBGRAPHS, _BUFFERS, _METADATA, _MODEL_FIELDS = 0, 2, 4, 6, 10
_TENSORS, _OPERATORS = 0, 3
_TENSOR_BUFFER, _TENSOR_QUANTIZATION = 2, 4
_MIN, _MAX, _SCALE, _ZERO_POINT, _DETAILS, _QUANTIZED_DIMENSION = 0, 1, 2, 3, 5, 6
_DATA, _OFFSET, _SIZE = 0, 1, 2
_NAME, _ENTRY_BUFFER = 0, 1
_OPTIONS, _LARGE_OPTIONS_OFFSET = 4, 9
MAX_BYTES = 2**31 - 1  # Offsets of a flatbuffer may have a sign.
_LENGTH_BYTES = 4  # In front of a vector.


@dataclass
class _Constant:
    """Where an entry of the model's `buffers` has its bytes; `table` is None for one that is added.

    `external` are the bytes that lie behind the flatbuffer, for models of more than 2 GB.
    """

    table: FlatTable | None
    start: int
    size: int
    external: bool = False


@dataclass(frozen=True)
class _Entry:
    """One entry of the model's `metadata`; `table` is None for one that is added."""

    table: FlatTable | None
    name: str
    buffer: int


class EditableModel:
    """A .tflite in memory: `graph` describes its first graph as it was read.

    Example::

        model = EditableModel(path.read_bytes())
        weights = model.graph.tensors[7]
        model.set_constant(weights, model.constant(weights) / np.float32(2))
        changed = model.to_bytes()
    """

    graph: Subgraph

    def __init__(self, flatbuffer: bytes, several_graphs: bool = False) -> None:
        """Read a model that has no zip behind it; of `several_graphs` the first can be changed.

        Raises ConversionError for bytes that are no TFLite model or are damaged, for a model of more than
        2 GB, and for one of several graphs that are not expected.
        """
        self._bytes = bytearray(flatbuffer)
        self._check_size(0)
        with _damage_reported():
            self._read(several_graphs)
        self._in_front = False  # Whether tables must be written in front.

    def _read(self, several_graphs: bool) -> None:
        graphs = read_graph(FlatTable.root(self._bytes)).subgraphs
        if len(graphs) != 1 and not several_graphs:
            raise ConversionError(
                f"The model has {len(graphs)} graphs, for conditions, loops or several signatures, and only "
                "models of one graph can be changed"
            )
        self.graph = graphs[0]
        self._root = root = FlatTable.root(self._bytes)
        if root.fields > _MODEL_FIELDS:
            raise ConversionError(
                f"The model's format is newer than this program: {root.fields} fields, {_MODEL_FIELDS} known"
            )
        graph, *others = root.tables(_SUBGRAPHS)
        self._operators = graph.tables(_OPERATORS)
        self._other_operators = [table for other in others for table in other.tables(_OPERATORS)]
        self._tensors = graph.tables(_TENSORS)
        self._quantizations = [table.table(_TENSOR_QUANTIZATION) for table in self._tensors]
        self._scales = [table.vector(_SCALE, 4) if table else (0, 0) for table in self._quantizations]
        self._buffer_of = [tensor.buffer for tensor in self.graph.tensors]
        self._buffers_of_others = [tensor.buffer for other in graphs[1:] for tensor in other.tensors]
        self._constants = [self._constant(table) for table in root.tables(_BUFFERS)]
        self._entries = [
            _Entry(table, table.string(_NAME, "backslashreplace") or "", table.scalar(_ENTRY_BUFFER, UINT32))
            for table in root.tables(_METADATA)
        ]
        for number in self._holders():
            if number >= len(self._constants):
                raise IndexError(number)

    def _constant(self, table: FlatTable) -> _Constant:
        start, size = table.vector(_DATA, 1)
        external = table.scalar(_OFFSET, UINT64)
        if size or not external:
            return _Constant(table, start, size)
        size = table.scalar(_SIZE, UINT64)
        if external + size > len(self._bytes):
            raise IndexError(external + size)
        return _Constant(table, external, size, external=True)

    def is_constant(self, tensor: Tensor) -> bool:
        """Return whether values are stored for a tensor."""
        return self._constants[self._buffer_of[tensor.index]].size > 0

    def constant(self, tensor: Tensor) -> NDArray[Any]:
        """Return a copy of the values that are stored for a tensor, flat, in its type; empty for none.

        Raises ConversionError for a type that numpy lacks, or a size that is no multiple of the type's.
        """
        stored = self._constants[self._buffer_of[tensor.index]]
        raw = bytes(self._bytes[stored.start : stored.start + stored.size])
        try:
            return np.frombuffer(raw, np.dtype(tensor.dtype).newbyteorder("<"))
        except (TypeError, ValueError):
            raise ConversionError(
                f"The values of tensor {tensor.name!r} cannot be read: {stored.size} bytes of {tensor.dtype}"
            ) from None

    def set_constant(self, tensor: Tensor, values: NDArray[Any]) -> None:
        """Store values for a tensor that has some; others that shared the old ones keep them.

        The shape of the tensor stays as it is.
        """
        raw = values.tobytes()
        number = self._buffer_of[tensor.index]
        stored = self._constants[number]
        if not stored.size:
            raise ValueError(f"{tensor.name} has no stored values")
        if self._users(number) == 1 and (len(raw) == stored.size or not stored.external):
            self._replace(stored, raw)
            return
        position = self._tensors[tensor.index].field_position(_TENSOR_BUFFER)
        if position is None:
            raise ConversionError(f"The model is damaged: tensor {tensor.name!r} has no buffer")
        self._buffer_of[tensor.index] = self._add_constant(raw)
        struct.pack_into("<I", self._bytes, position, self._buffer_of[tensor.index])

    def scales(self, tensor: Tensor) -> NDArray[np.float32]:
        """Return a copy of a quantized tensor's scales: one, or one a channel; empty for others."""
        start, count = self._scales[tensor.index]
        return np.frombuffer(bytes(self._bytes[start : start + 4 * count]), "<f4")

    def set_scales(self, tensor: Tensor, scales: NDArray[np.float32]) -> None:
        """Store as many scales as the tensor has; others that shared the old ones keep them.

        Raises ConversionError when they are shared in a form that cannot be separated.
        """
        start, count = self._scales[tensor.index]
        if len(scales) != count or not count:
            raise ValueError(f"{tensor.name} has {count} scales, not {len(scales)}")
        if [other for other, _ in self._scales].count(start) > 1:
            with _damage_reported():
                self._separate_quantization(tensor)
        start, count = self._scales[tensor.index]
        self._bytes[start : start + 4 * count] = np.asarray(scales, "<f4").tobytes()

    def option(self, operator: Operator, field: int, flags: Any) -> int | None:
        """Return the number in a field of an operator's builtin options; None where it has no options.

        `flags` is its type in flatbuffers.number_types. Raises ConversionError where the options are damaged.
        """
        with _damage_reported():
            options = self._operators[operator.index].table(_OPTIONS)
            return options.scalar(field, flags) if options else None

    def set_metadata(self, name: str, data: bytes) -> None:
        """Store `data` as the metadata of that name, in place of all that had the name.

        Data that is replaced again leaves no bytes behind.
        """
        entries = [entry for entry in self._entries if entry.name == name]
        if len(entries) == 1:
            stored = self._constants[entries[0].buffer]
            if stored.size and not stored.external and self._users(entries[0].buffer) == 1:
                self._replace(stored, data)
                return
        others = [entry for entry in self._entries if entry.name != name]
        self._entries = [*others, _Entry(None, name, self._add_constant(data))]

    def to_bytes(self) -> bytes:
        """Return the changed model. The same changes to the same bytes give the same bytes.

        Data that was written begins at a multiple of 16, as schema.fbs wants it; what was there is moved by a
        multiple of 16.
        """
        if not self._in_front:
            return bytes(self._bytes)
        with _damage_reported():
            return self._with_tables_in_front()

    def _with_tables_in_front(self) -> bytes:
        room = 4 * (len(self._constants) + len(self._entries)) + 4096
        self._check_size(room)
        builder = TableBuilder(len(self._bytes) + room)
        start = builder.add_flatbuffer(self._bytes)
        buffers = [
            builder.add_table({_DATA: start - (constant.start - _LENGTH_BYTES)})
            if constant.table is None
            else start - constant.table.position
            for constant in self._constants
        ]
        entries = [
            builder.add_table(
                {_NAME: builder.CreateString(entry.name), _ENTRY_BUFFER: ("uint32", entry.buffer)}
            )
            if entry.table is None
            else start - entry.table.position
            for entry in self._entries
        ]
        fields: dict[int, Field] = {_VERSION: ("uint32", self._root.scalar(_VERSION, UINT32))}
        for field in range(_VERSION + 1, _MODEL_FIELDS):
            if (target := self._root.target(field)) is not None:
                fields[field] = start - target
        fields[_BUFFERS] = builder.add_references(buffers)
        if entries:
            fields[_METADATA] = builder.add_references(entries)
        builder.Finish(builder.add_table(fields), file_identifier=IDENTIFIER)
        result = builder.Output()
        self._move_external(result, len(result) - start)
        return bytes(result)

    def _move_external(self, result: bytearray, by: int) -> None:
        """Correct the positions that count from the start of the file, in front of which bytes were put."""
        positions = {
            constant.table.field_position(_OFFSET)
            for constant in self._constants
            if constant.external and constant.table is not None
        }
        operators = (*self._operators, *self._other_operators)
        positions |= {table.field_position(_LARGE_OPTIONS_OFFSET) for table in operators}
        for position in positions:
            if position is not None:
                (old,) = struct.unpack_from("<Q", result, position + by)
                if old:
                    struct.pack_into("<Q", result, position + by, old + by)

    def _users(self, number: int) -> int:
        """Return how many tensors and metadata entries have their bytes where buffer `number` has them."""
        start = self._constants[number].start
        return sum(other == number or self._constants[other].start == start for other in self._holders())

    def _holders(self) -> list[int]:
        """Return the buffer's number for each tensor of all graphs, and for each metadata entry."""
        entries = [entry.buffer for entry in self._entries]
        return [*self._buffer_of, *self._buffers_of_others, *entries]

    def _add_constant(self, raw: bytes) -> int:
        """Append a new buffer and return its number."""
        self._in_front = True
        self._constants.append(_Constant(None, self._append(raw), len(raw)))
        return len(self._constants) - 1

    def _replace(self, constant: _Constant, raw: bytes) -> None:
        """Give a buffer other bytes: where the old ones are if these fit or end the file, else at the end."""
        start, size = constant.start, constant.size
        if len(raw) != size and _aligned(start + size) >= len(self._bytes):
            del self._bytes[start:]
            self._extend(raw)
        elif len(raw) <= size:
            self._bytes[start : start + size] = raw.ljust(size, b"\0")
        else:
            self._bytes[start : start + size] = bytes(size)
            self._move(constant, self._append(raw))
        if len(raw) != size:
            constant.size = len(raw)
            struct.pack_into("<I", self._bytes, constant.start - _LENGTH_BYTES, len(raw))

    def _move(self, constant: _Constant, start: int) -> None:
        """Let a buffer point to a vector of bytes that was appended."""
        constant.start = start
        position = constant.table.field_position(_DATA) if constant.table else None
        if position is not None:
            self._point(position, start - _LENGTH_BYTES)

    def _separate_quantization(self, tensor: Tensor) -> None:
        """Give a tensor its own copy of the quantization that it shares with others."""
        old = self._quantizations[tensor.index]
        position = self._tensors[tensor.index].field_position(_TENSOR_QUANTIZATION)
        if old is None or position is None or old.field_position(_DETAILS) is not None:
            raise ConversionError(
                f"Tensor {tensor.name!r} shares its quantization in a form that is not known"
            )
        builder = TableBuilder()
        fields: dict[int, Field] = {
            field: builder.add_numbers(old.numbers(field, dtype), dtype)
            for field, dtype in ((_MIN, "<f4"), (_MAX, "<f4"), (_SCALE, "<f4"), (_ZERO_POINT, "<i8"))
            if old.field_position(field) is not None
        }
        fields[_QUANTIZED_DIMENSION] = ("int32", old.scalar(_QUANTIZED_DIMENSION, INT32))
        builder.Finish(builder.add_table(fields))
        copied = builder.Output()
        begin = _aligned(len(self._bytes))
        self._extend(bytes(begin - len(self._bytes)) + copied)
        table = FlatTable.root(copied)
        start, count = table.vector(_SCALE, 4)
        self._scales[tensor.index] = (begin + start, count)
        self._point(position, begin + table.position)

    def _append(self, raw: bytes | bytearray) -> int:
        """Append a vector of bytes and return where its first byte is, a multiple of 16."""
        start = _aligned(len(self._bytes) + _LENGTH_BYTES)
        gap = start - _LENGTH_BYTES - len(self._bytes)
        self._extend(bytes(gap) + struct.pack("<I", len(raw)) + raw)
        return start

    def _extend(self, raw: bytes | bytearray) -> None:
        self._check_size(len(raw))
        self._bytes += raw
        self._bytes += bytes(_aligned(len(self._bytes)) - len(self._bytes))

    def _point(self, position: int, target: int) -> None:
        """Write an offset; `target` lies behind `position`."""
        struct.pack_into("<I", self._bytes, position, target - position)

    def _check_size(self, more: int) -> None:
        size = len(self._bytes) + more
        if size > MAX_BYTES:
            raise ConversionError(
                f"The model is too large to be changed: {size:,} bytes, and {MAX_BYTES:,} are possible"
            )


@contextmanager
def _damage_reported() -> Iterator[None]:
    """Turn the errors of FlatTable for malformed tables into ConversionError."""
    try:
        yield
    except MALFORMED as error:
        raise ConversionError(f"The model is no TFLite flatbuffer, or is damaged ({error})") from error


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
