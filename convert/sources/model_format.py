"""Which format a model file has, by its first bytes: its name may say another. Needs no TensorFlow."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path, PurePosixPath

from ...edge.errors import ConversionError
from ...edge.inner_files import UnsafePathError, require_regular
from ...edge.modelfile import IDENTIFIER
from ...edge.other_formats import archive_format, other_format
from ...edge.placeholders import PLACEHOLDER_BYTES, placeholder

KERAS_CONFIG = "config.json"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_SAVED_MODEL = "saved_model.pb"
_MODEL_SUFFIXES = (".keras", ".h5", ".hdf5", ".tflite")


class ModelFormat(Enum):
    """What a model is stored as."""

    HDF5 = ".h5"
    KERAS = ".keras"
    TFLITE = ".tflite"
    SAVED_MODEL = "a folder"


# Of files whose first bytes tell nothing: cut off, or damaged there.
_BY_SUFFIX = {
    ".h5": ModelFormat.HDF5,
    ".hdf5": ModelFormat.HDF5,
    ".keras": ModelFormat.KERAS,
    ".tflite": ModelFormat.TFLITE,
}


def model_format(path: Path) -> ModelFormat:
    """Return the format of a model's file or folder.

    Raises ConversionError, with what to do, for anything else.
    """
    if path.is_dir():
        return ModelFormat.SAVED_MODEL
    if path.name == _SAVED_MODEL:
        raise ConversionError(
            f"{path} is one part of a SavedModel. Give the folder that holds it: {path.absolute().parent}"
        )
    try:
        require_regular(path)
        with path.open("rb") as file:
            head = file.read(PLACEHOLDER_BYTES)
    except UnsafePathError as error:
        raise ConversionError(f"{path} {error}") from None
    except OSError as error:
        raise ConversionError(f"{path} cannot be read ({error.strerror})") from None
    if instead := placeholder(head):
        raise ConversionError(f"{path} {instead}")
    if head.startswith(_HDF5):
        return ModelFormat.HDF5
    if head[4:8] == IDENTIFIER:
        return ModelFormat.TFLITE
    if head.startswith(_ZIP):
        _refuse_archive(path)
        return ModelFormat.KERAS
    if instead := other_format(path.name, head):
        raise ConversionError(f"{path} {instead}")
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    raise ConversionError(
        f"{path} is no model that can be converted. Give a run of edge-train, a .keras or .h5 file, a "
        "SavedModel's folder, or a float .tflite"
    )


def _refuse_archive(path: Path) -> None:
    """Raise ConversionError for a zip of model files, as sites deliver them; a .keras file is a zip too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, OSError):
        return  # Its reader says what is wrong.
    if KERAS_CONFIG in names:
        return
    if instead := archive_format(names):
        raise ConversionError(f"{path} {instead}")
    held = [n for n in names if PurePosixPath(n).suffix in _MODEL_SUFFIXES and n != "model.weights.h5"]
    held += [n for n in names if PurePosixPath(n).name == _SAVED_MODEL]
    labels = [n for n in names if PurePosixPath(n).name == "labels.txt"]
    if held:
        raise ConversionError(
            f"{path} is a zip that holds {held[0][:80]!r}. Unpack it first, and give that"
            f"{' as MODEL' if labels else ''}"
            f"{f' and {labels[0][:80]!r} as --labels' if labels else ''}"
        )
    if path.suffix.lower() == ".zip":
        raise ConversionError(f"{path} is a zip that holds no model: neither {', '.join(_MODEL_SUFFIXES)}")
