"""The weights of a Keras file of any version, into a model that was made of its configuration."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from ...edge.errors import ConversionError
from .model_format import ModelFormat

_WEIGHTS = "model.weights.h5"
_MAX_WEIGHTS = 4 << 30  # Bytes; Keras refuses larger ones too.


def load_weights(model: Any, path: Path, stored: ModelFormat) -> None:
    """Load the weights of a file that Keras 1 or 2 wrote; raises what Keras raises where they do not fit."""
    if stored is ModelFormat.KERAS and _has_backslashes(path):
        with tempfile.TemporaryDirectory() as folder:
            model.load_weights(_with_slashes(path, Path(folder)))
        return
    with under_suffix(path, stored.value) as named:
        model.load_weights(named)


@contextmanager
def under_suffix(path: Path, suffix: str) -> Iterator[Path]:
    """Yield a path to the same file that ends in `suffix`: Keras reads a file as what its name says."""
    weights = path.name.endswith((".weights.h5", ".weights.hdf5"))  # Which Keras reads in yet another way.
    if path.suffix == suffix and not weights:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, f"model{suffix}")
        try:
            named.symlink_to(path.resolve())
        except OSError:  # Windows lets not everyone make links.
            shutil.copyfile(path, named)
        yield named


@contextmanager
def with_config(path: Path, config: dict[str, Any]) -> Iterator[Path]:
    """Yield a copy of an .h5 file that has another configuration of its model."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.h5")
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
        yield copy


def _has_backslashes(path: Path) -> bool:
    """Return whether Keras 2 wrote this .keras file on Windows, where it named groups "layers\\\\dense"."""
    with zipfile.ZipFile(path) as archive, archive.open(_WEIGHTS) as member, h5py.File(member) as file:
        return any("\\" in name for name in file)


def _with_slashes(path: Path, folder: Path) -> Path:
    """Return a copy of the weights whose groups are named as on other systems; no values are read."""
    copy = folder / _WEIGHTS
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(_WEIGHTS).file_size > _MAX_WEIGHTS:
            raise ConversionError(f"{path}: its {_WEIGHTS} is larger than {_MAX_WEIGHTS >> 30} GiB")
        with archive.open(_WEIGHTS) as member, copy.open("wb") as target:
            shutil.copyfileobj(member, target)
    with h5py.File(copy, "r+") as file:
        for name in sorted((name for name in file if "\\" in name), key=len):
            file.move(name, name.replace("\\", "/"))
    return copy
