"""Reads single fields of a flatbuffer by number, for the few tables that the runner needs.

tflite-runtime ships no schema module, so this stands on the `flatbuffers` package alone. Field
numbers are those of the public schemas, in order of declaration:
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
    """What may still be read: in a crafted file, vectors that overlap or are all tables would never end."""

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

    A malformed buffer makes the methods raise one of `MALFORMED`.
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

    def scalar(self, field: int, flags: Any, default: int = 0) -> int:
        """Return the number in `field`, of a type out of flatbuffers.number_types."""
        offset = self._offset(field)
        return int(self._table.Get(flags, self._table.Pos + offset)) if offset else default

    def string(self, field: int, errors: str = "strict") -> str | None:
        """Return the text in `field`, or None where there is none; `errors` is for what is not UTF-8."""
        offset = self._offset(field)
        if not offset:
            return None
        raw: bytes = self._table.String(self._table.Pos + offset)
        self._budget.spend(len(raw))
        return raw.decode(errors=errors)

    def table(self, field: int) -> FlatTable | None:
        """Return the table that `field` points to, or None."""
        offset = self._offset(field)
        if not offset:
            return None
        self._budget.spend_tables(1)
        return self._at(self._table.Pos + offset)

    def tables(self, field: int) -> list[FlatTable]:
        """Return the tables of the vector in `field`."""
        offset = self._offset(field)
        if not offset:
            return []
        start = self._table.Vector(offset)
        count = self._vector_length(offset, 4)
        self._budget.spend_tables(count)
        return [self._at(start + 4 * i) for i in range(count)]

    def numbers(self, field: int, dtype: str) -> NDArray[Any]:
        """Return the vector of numbers in `field`, of a little-endian numpy `dtype`; empty where absent."""
        offset = self._offset(field)
        if not offset:
            return np.empty(0, dtype)
        count = self._vector_length(offset, np.dtype(dtype).itemsize)
        return np.frombuffer(self._table.Bytes, dtype, count, self._table.Vector(offset)).copy()

    def vector_bytes(self, field: int) -> int:
        """Return how many bytes the vector of bytes in `field` has, without reading them; 0 where absent."""
        offset = self._offset(field)
        return self._vector_length(offset, 1) if offset else 0

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
