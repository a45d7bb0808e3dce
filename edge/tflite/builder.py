"""Writes flatbuffers table by table, without generated classes.

flatbuffers.Builder writes from the end of the file to its start: what a table points to is written first.
Its offsets count from the end, and stay valid when more is written in front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import ArrayLike

from .schema import ALIGNMENT

Field = int | tuple[str, int]  # An offset that this builder gave, or ("int8", 3).


class TableBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder to which tables are added as fields by number.

    Example::

        builder = TableBuilder()
        size = builder.add_table({0: ("uint32", 224), 1: ("uint32", 224)})
        builder.Finish(builder.add_table({1: size}), file_identifier=b"M001")
        raw = bytes(builder.Output())
    """

    def add_table(self, fields: Mapping[int, Field]) -> int:
        """Write a table and return its offset; numbers that are 0 are left out, since 0 is their default."""
        scalars: dict[str, Callable[[int, int, int], None]] = {
            "int8": self.PrependInt8Slot,
            "uint8": self.PrependUint8Slot,
            "int32": self.PrependInt32Slot,
            "uint32": self.PrependUint32Slot,
        }
        self.StartObject(max(fields, default=-1) + 1)
        for number, field in fields.items():
            if isinstance(field, tuple):
                scalars[field[0]](number, field[1], 0)
            else:
                self.PrependUOffsetTRelativeSlot(number, field, 0)
        return int(self.EndObject())

    def add_references(self, offsets: Sequence[int]) -> int:
        """Write a vector that points to tables or strings, and return its offset."""
        self.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.PrependUOffsetTRelative(offset)
        return int(self.EndVector())

    def add_numbers(self, values: ArrayLike, dtype: str) -> int:
        """Write a vector of numbers of a little-endian numpy `dtype`, such as "<f4"; return its offset."""
        array = np.asarray(values, dtype)
        self.StartVector(array.itemsize, array.size, array.itemsize)
        self._prepend(array.tobytes())
        return int(self.EndVector())

    def add_bytes(self, raw: bytes) -> int:
        """Write a vector of bytes that begins at a multiple of 16, and return its offset."""
        self.StartVector(1, len(raw), ALIGNMENT)
        self._prepend(raw)
        return int(self.EndVector())

    def add_flatbuffer(self, raw: bytes | bytearray) -> int:
        """Write a whole flatbuffer unchanged, from a multiple of 16 on, and return the offset of its start.

        Tables that are written later can point to its byte p: the offset of that byte is this offset minus p.
        """
        self.Prep(ALIGNMENT, len(raw))
        self._prepend(raw)
        return int(self.Offset())

    def _prepend(self, raw: bytes | bytearray) -> None:
        """Write bytes for which StartVector or Prep has made room."""
        self.head: Any = self.Head() - len(raw)
        self.Bytes[self.head : self.head + len(raw)] = raw
