"""Tensors of PyTorch files are read, and nothing in the file runs."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.train.torch_file import TorchFileError, read_tensors
from numpy.typing import NDArray

from .support.torch_writer import torch_file

TENSORS: dict[str, NDArray[Any]] = {
    "stem.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.num_batches_tracked": np.array(7, np.int64),
    "head.bias": np.array([1.5, -2], np.float32),
}


def test_tensors_are_those_that_were_written() -> None:
    found = read_tensors(torch_file(TENSORS))
    assert list(found) == list(TENSORS)
    for name, values in TENSORS.items():
        assert np.array_equal(found[name], values) and found[name].dtype == values.dtype


def test_bytes_of_a_small_file_are_those_that_pytorch_writes() -> None:
    """The first bytes of a file that PyTorch 1.5 wrote: efficientnet-lite0-57934424.pth of PyPI."""
    published = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e80024de9032e80027d7100")
    assert torch_file(TENSORS).startswith(published)


class _Call:
    def __init__(self, *called: Any) -> None:
        self._called = called

    def __reduce__(self) -> Any:
        function, *arguments = self._called
        return function, tuple(arguments)


def _with_tensors_replaced(value: Any) -> bytes:
    head = torch_file(TENSORS)
    stream = io.BytesIO(head)
    for _ in range(3):
        pickle.Unpickler(stream).load()
    return head[: stream.tell()] + pickle.dumps(value, protocol=2) + pickle.dumps([], protocol=2)


@pytest.mark.parametrize("called", [os.system, os.mkdir, eval, getattr, np.load])
def test_file_that_calls_a_function_is_refused_and_calls_nothing(called: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    arguments = {os.system: (f"touch {trace}",), os.mkdir: (str(trace),)}.get(
        called, (f"open({str(trace)!r}, 'w')",)
    )
    with pytest.raises(TorchFileError, match=r"asks for .*, which no tensor needs"):
        read_tensors(_with_tensors_replaced({"weight": _Call(called, *arguments)}))
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", pickle.dumps({"a": 1}), torch_file(TENSORS)[:-40], torch_file(TENSORS)[:300],
     _with_tensors_replaced(3), _with_tensors_replaced({"a": 3})],
)  # fmt: skip
def test_file_that_is_cut_off_or_no_pytorch_file_is_refused(content: bytes) -> None:
    with pytest.raises(TorchFileError, match=r"damaged|no PyTorch file|outside"):
        read_tensors(content)


def test_tensor_beyond_its_values_is_refused() -> None:
    content = torch_file({"a": np.zeros(3, np.float32)})
    longer = content.replace(b"K\x03\x85", b"K\x04\x85")  # The shape (3,) becomes (4,).
    assert longer != content
    with pytest.raises(TorchFileError, match="outside of its values"):
        read_tensors(longer)
