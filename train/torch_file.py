"""Reads the tensors of a PyTorch file without PyTorch, and without running anything that is in it.

A file of torch.save is a row of pickles, and a pickle may call any function. This reader knows the few names
that tensors need, and refuses all others. It reads the form that PyTorch wrote until version 1.5
(torch/serialization.py, _legacy_save): a magic number, the version, the system, the tensors, the keys of
their values, and then the values of each key, after their number.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class TorchFileError(ValueError):
    """A file that holds something else than tensors; the text says what, after "it"."""


class _Dtype(NamedTuple):
    name: str


class _Storage(NamedTuple):
    key: str
    dtype: str


class _View(NamedTuple):
    """A tensor whose values were not read yet; `offset` and `strides` count values."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def rebuild(cls, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
        """Take what torch._utils._rebuild_tensor_v2 takes."""
        return cls(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the tensor, from all values of its storage."""
        spans = [(length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True)]
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or self.offset + sum(spans) >= len(values):
            raise TorchFileError("has a tensor that lies outside of its values")
        steps = [stride * values.itemsize for stride in self.strides]
        return as_strided(values[self.offset :], self.shape, steps).copy()


class _TensorUnpickler(pickle.Unpickler):
    """Knows ordered dictionaries and tensors, and raises TorchFileError for every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _View.rebuild
        if module == "torch" and name in _DTYPES:
            return _Dtype(_DTYPES[name])
        raise TorchFileError(f"asks for {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key = pid[:3]
        if kind != "storage" or not isinstance(dtype, _Dtype):
            raise TorchFileError("refers to something that is no tensor")
        return _Storage(str(key), dtype.name)


def read_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file of torch.save, float32 or int64, by their names.

    It is for bytes that are known, by their SHA-256: others run nothing, but may ask for much memory.
    Raises TorchFileError for a file that is no dictionary of tensors.
    """
    stream = io.BytesIO(content)
    try:
        if _next(stream) != _MAGIC or _next(stream) != _VERSION:
            raise TorchFileError("is no PyTorch file of version 1.5 or older")
        _next(stream)  # About the machine that wrote it; the values are in little endian in any case.
        views: dict[str, _View] = dict(_next(stream))
        dtypes = {view.storage.key: view.storage.dtype for view in views.values()}
        values = {key: _read_values(stream, dtypes[key]) for key in _next(stream)}
        return {name: view.of(values[view.storage.key]) for name, view in views.items()}
    except TorchFileError:
        raise
    except Exception as error:  # What unpickling raises depends on the bytes.
        raise TorchFileError(f"is damaged, or no PyTorch file ({type(error).__name__})") from error


def _next(stream: io.BytesIO) -> Any:
    return _TensorUnpickler(stream).load()


def _read_values(stream: io.BytesIO, dtype: str) -> NDArray[Any]:
    count = int(np.frombuffer(stream.read(8), "<i8")[0])
    size = np.dtype(dtype).itemsize
    return np.frombuffer(stream.read(max(count, 0) * size), dtype, count)
