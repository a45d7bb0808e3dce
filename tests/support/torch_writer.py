"""Writes files of PyTorch without PyTorch, in the form of its version 1.5 and older (_legacy_save)."""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_SYSTEM = {
    "protocol_version": _VERSION,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}
_STORAGES = {np.dtype("float32"): "FloatStorage", np.dtype("int64"): "LongStorage"}


def torch_file(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a file that torch.load gives back as an OrderedDict of these tensors, float32 or int64."""
    with _torch_names() as torch:
        rows = OrderedDict(
            (name, _Tensor(torch, str(number), np.asarray(values, order="C")))
            for number, (name, values) in enumerate(tensors.items())
        )
        stream = io.BytesIO()
        for value in (_MAGIC, _VERSION, _SYSTEM):
            pickle.dump(value, stream, protocol=2)
        _Pickler(stream, protocol=2).dump(rows)
        pickle.dump([row.key for row in rows.values()], stream, protocol=2)
        for row in rows.values():
            stream.write(struct.pack("<q", row.values.size) + row.values.tobytes())
    return stream.getvalue()


@dataclass(frozen=True)
class _Storage:
    kind: Any
    key: str
    size: int


@dataclass(frozen=True)
class _Tensor:
    torch: ModuleType
    key: str
    values: NDArray[Any]

    def __reduce__(self) -> tuple[Any, ...]:
        values = self.values
        kind = getattr(self.torch, _STORAGES[values.dtype])
        strides = tuple(step // values.itemsize for step in values.strides)
        storage = _Storage(kind, self.key, values.size)
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            storage, 0, values.shape, strides, False, OrderedDict()
        )  # fmt: skip


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return ("storage", obj.kind, obj.key, "cpu", obj.size, None) if isinstance(obj, _Storage) else None


@contextmanager
def _torch_names() -> Iterator[ModuleType]:
    """Make the names that pickle looks up while it writes them; the real ones come back afterwards."""
    names = ("torch", "torch._utils")
    before = {name: sys.modules.get(name) for name in names}
    torch, utils = (ModuleType(name) for name in names)
    for storage in _STORAGES.values():
        setattr(torch, storage, type(storage, (), {"__module__": "torch"}))

    def rebuild(*_: Any) -> None:
        raise AssertionError("only its name is written")

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", *["_rebuild_tensor_v2"] * 2
    utils._rebuild_tensor_v2 = rebuild  # type: ignore[attr-defined]
    sys.modules.update(zip(names, (torch, utils), strict=True))
    try:
        yield torch
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
