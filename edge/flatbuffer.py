"""Reads single fields of a flatbuffer by number, with bounds for hostile files.

tflite-runtime has no schema module, so only the `flatbuffers` package is needed. Field numbers are those of
the public schemas, in order of declaration:
tensorflow/compiler/mlir/lite/schema/schema.fbs and
tensorflow_lite_support/metadata/metadata_schema.fbs (a union takes two numbers).
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from flatbuffers import encode, packer
from flatbuffers import number_types as types
from flatbuffers.table import Table
from numpy.typing import NDArray

MAX_TABLES = 500_000  # Ten times what the largest language models have; about 200 MB of Python objects.


class _Budget:
    """How much may still be read: in a crafted file, overlapping vectors or tables would never end."""

    def __init__(self, size: int) -> None:
        self._bytes = 4 * size  # An honest file has each byte read about once.
        self._tables = MAX_TABLES

    def spend(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise ValueError("overlapping vectors")

    def spend_tables(self, count: int) -> None:
        self._tables -= count
        if self._tables < 0:
            raise ValueError("too many tables")


class FlatTable:
    """One table inside `buffer`, at byte `position`.

    All methods raise one of `MALFORMED` for a malformed buffer.

    Example::

        model = FlatTable.root(Path("model.tflite").read_bytes())
        description = model.string(3)  # Field 3 of `table Model`.
    """

    __slots__ = ("_budget", "_table")

    def __init__(self, buffer: Any, position: int, budget: _Budget) -> None:
        if not 0 <= position < len(buffer):
            raise IndexError(position)
        self._table = Table(buffer, position)
        self._budget = budget

    @classmethod
    def root(cls, buffer: Any) -> FlatTable:
        """Return the root table of a whole flatbuffer."""
        return cls(buffer, encode.Get(packer.uoffset, buffer, 0), _Budget(len(buffer)))

    @property
    def position(self) -> int:
        """The byte of the buffer at which the table begins."""
        return int(self._table.Pos)

    @property
    def fields(self) -> int:
        """One more than the highest number of a field that the table may have."""
        vtable = self.position - self._table.Get(types.SOffsetTFlags, self.position)
        return (int(self._table.Get(types.VOffsetTFlags, vtable)) - 4) // 2

    def field_position(self, field: int) -> int | None:
        """Return the byte at which the number or the offset in `field` begins; None where it is absent."""
        offset = self._offset(field)
        return self.position + offset if offset else None

    def target(self, field: int) -> int | None:
        """Return the byte that the offset in `field` points to; None where the field is absent."""
        position = self.field_position(field)
        if position is None:
            return None
        target = int(self._table.Indirect(position))
        if target >= len(self._table.Bytes):
            raise IndexError(target)
        return target

    def scalar(self, field: int, flags: Any, default: int = 0) -> int:
        """Return the number in `field`; `flags` is its type in flatbuffers.number_types."""
        offset = self._offset(field)
        return int(self._table.Get(flags, self._table.Pos + offset)) if offset else default

    def string(self, field: int, errors: str = "strict") -> str | None:
        """Return the text in `field`, None where it is absent; `errors` is for bytes that are not UTF-8."""
        offset = self._offset(field)
        if not offset:
            return None
        raw: bytes = self._table.String(self._table.Pos + offset)
        self._budget.spend(len(raw))
        return raw.decode(errors=errors)

    def table(self, field: int) -> FlatTable | None:
        """Return the table that `field` points to; None where it is absent."""
        offset = self._offset(field)
        if not offset:
            return None
        self._budget.spend_tables(1)
        return self._at(self._table.Pos + offset)

    def tables(self, field: int) -> list[FlatTable]:
        """Return the tables of the vector in `field`; none where it is absent."""
        offset = self._offset(field)
        if not offset:
            return []
        start = self._table.Vector(offset)
        count = self._vector_length(offset, 4)
        self._budget.spend_tables(count)
        return [self._at(start + 4 * i) for i in range(count)]

    def numbers(self, field: int, dtype: str) -> NDArray[Any]:
        """Return a copy of the vector in `field`, of a little-endian numpy `dtype`; empty where absent."""
        offset = self._offset(field)
        if not offset:
            return np.empty(0, dtype)
        count = self._vector_length(offset, np.dtype(dtype).itemsize)
        return np.frombuffer(self._table.Bytes, dtype, count, self._table.Vector(offset)).copy()

    def vector(self, field: int, item_size: int) -> tuple[int, int]:
        """Return where the vector in `field` has its first item, and the number of items; 0, 0 where absent.

        No item is read; all of them lie inside the buffer.
        """
        offset = self._offset(field)
        if not offset:
            return 0, 0
        return int(self._table.Vector(offset)), self._vector_length(offset, item_size)

    def vector_bytes(self, field: int) -> int:
        """Return the size of the vector of bytes in `field`, without reading them; 0 where absent."""
        return self.vector(field, 1)[1]

    def _vector_length(self, offset: int, item_size: int) -> int:
        count = int(self._table.VectorLen(offset))
        if self._table.Vector(offset) + count * item_size > len(self._table.Bytes):
            raise IndexError(count)
        self._budget.spend(count * item_size)
        return count

    def _at(self, position: int) -> FlatTable:
        return FlatTable(self._table.Bytes, self._table.Indirect(position), self._budget)

    def _offset(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))


MALFORMED = (struct.error, IndexError, ValueError, TypeError, UnicodeDecodeError)
INT8 = types.Int8Flags
UINT8 = types.Uint8Flags
INT32 = types.Int32Flags
UINT32 = types.Uint32Flags
UINT64 = types.Uint64Flags
BOOL = types.BoolFlags
