"""What a model of another program is, by its first bytes or its suffix, and the way from there to a .tflite.

Asked only where a file has been found to be no .tflite, so nothing here is on the way of one that is.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

_ORIGINAL = "Nothing leads back from there: take the model that it was made from"
_KERAS = "edge-convert makes .tflite files of it"
_PYTORCH = (
    "is a PyTorch file. Make a .tflite of it where its code is, with litert-torch (once ai-edge-torch), or "
    "export it to ONNX and use onnx2tf"
)
_ONNX = (
    "is an ONNX model. Run: onnx2tf -i FILE -o FOLDER (pip install onnx2tf), and take the float32 .tflite in "
    "FOLDER"
)
_PICKLE = "is a Python pickle, which is a program and is not run. Save the model as .keras or .tflite"
_WEIGHTS = (
    "holds weights and no model. Load them into the model where its code is, and save that as .keras or "
    ".tflite"
)
_CORE_ML = f"is a Core ML model. {_ORIGINAL}"
_OPENVINO = f"is an OpenVINO model. {_ORIGINAL}"
_FROZEN = (
    "is a graph of TensorFlow 1. Make a .tflite of it with tf.compat.v1.lite.TFLiteConverter"
    ".from_frozen_graph(FILE, [INPUT], [OUTPUT]).convert()"
)
_ARCHIVE = "is an archive. Unpack it first, and give the model in it"
_WEB_LAYERS = (
    "is a TensorFlow.js model. Run: tensorflowjs_converter --input_format tfjs_layers_model --output_format "
    "keras model.json model.h5 (pip install tensorflowjs)"
)
_WEB_GRAPH = f"is a TensorFlow.js graph model. {_ORIGINAL}"
_ARCHITECTURE = (
    "is a Keras model without its weights. Read it with keras.models.model_from_json, load the weights, and "
    "save it with model.save('model.keras')"
)
_BY_START = (
    (b"\x89HDF\r\n\x1a\n", f"is an HDF5 file, as Keras writes models. {_KERAS}"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", _PYTORCH),  # The magic number of its old format.
    (b"ftrt", f"is a TensorRT engine. {_ORIGINAL}"),
    (b"\x1f\x8b", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
)
_BY_SUFFIX = {
    ".caffemodel": f"is a Caffe model. {_ORIGINAL}",
    ".ckpt": f"is a checkpoint, which {_WEIGHTS}",
    ".engine": f"is a TensorRT engine. {_ORIGINAL}",
    ".hef": f"is compiled for a Hailo accelerator. {_ORIGINAL}",
    ".index": f"is a part of a checkpoint, which {_WEIGHTS}",
    ".kmodel": f"is compiled for a Kendryte processor. {_ORIGINAL}",
    ".mlmodel": _CORE_ML,
    ".onnx": _ONNX,
    ".pb": _FROZEN,
    ".pkl": _PICKLE,
    ".pt": _PYTORCH,
    ".pth": _PYTORCH,
    ".rknn": f"is compiled for a Rockchip processor. {_ORIGINAL}",
    ".safetensors": f"is a safetensors file, which {_WEIGHTS}",
    ".tar": _ARCHIVE,
    ".trt": f"is a TensorRT engine. {_ORIGINAL}",
}  # fmt: skip
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_ONNX_WRITERS = (b"pytorch", b"onnx")


def other_format(name: str, head: bytes) -> str | None:
    """Return what a file called `name` that begins with `head`, some 500 bytes, is; None where unknown.

    The words follow the file's name, and end in the remedy.

    Example:
        >>> other_format("cats.h5", b"\\x89HDF\\r\\n\\x1a\\n")
        'is an HDF5 file, as Keras writes models. edge-convert makes .tflite files of it'
    """
    if not head:
        return "is empty: a copy or a download was cut off. Fetch it again"
    found = next((words for start, words in _BY_START if head.startswith(start)), None)
    return found or _by_content(head) or _by_suffix(name)


def archive_format(names: list[str]) -> str | None:
    """Return what a zip that holds files of these names is; None where unknown."""
    if any(PurePath(name).name == "data.pkl" for name in names):
        return _PYTORCH
    if any(".mlpackage/" in name for name in names):
        return _CORE_ML
    return None


def folder_format(path: Path) -> str | None:
    """Return what a folder that is given for a model is; None where unknown."""
    if (path / "saved_model.pb").is_file():
        return f"is a SavedModel. {_KERAS}"
    if path.suffix == ".mlpackage":
        return _CORE_ML
    described = path / "model.json"
    if not described.is_file():
        return None
    with described.open("rb") as file:
        return _by_content(file.read(512))


def _by_content(head: bytes) -> str | None:
    from .picture_kinds import identify

    if picture := identify(head):
        return f"is a picture ({picture}), and no model"
    if head.startswith(b"PK\x03\x04"):
        return _by_zip(
            head[30 : 30 + int.from_bytes(head[26:28], "little")]
        )  # Also of a file that is cut off.
    text = head.lstrip()
    if text.startswith(b"{"):
        return _by_json(text)
    signs = (
        (text.startswith(b"<?xml") and b"<net " in text, _OPENVINO),
        (head[:1] == b"\x08" and any(writer in head[:64] for writer in _ONNX_WRITERS), _ONNX),
        (head[:2] in _PICKLES, _PICKLE),
        (head[8:9] == b"{" and b'"dtype"' in head, _BY_SUFFIX[".safetensors"]),
    )
    return next((words for holds, words in signs if holds), None)


def _by_zip(first: bytes) -> str:
    if first in (b"metadata.json", b"config.json", b"model.weights.h5"):
        return f"is a .keras file. {_KERAS}"
    return archive_format([first.decode(errors="replace")]) or _ARCHIVE


def _by_json(text: bytes) -> str | None:
    if b'"graph-model"' in text:
        return _WEB_GRAPH
    if b'"layers-model"' in text or b'"modelTopology"' in text:
        return _WEB_LAYERS
    return _ARCHITECTURE if b'"class_name"' in text else None


def _by_suffix(name: str) -> str | None:
    if PurePath(name).name == "saved_model.pb":
        return "is one part of a SavedModel. edge-convert makes .tflite files of the folder that holds it"
    if re.search(r"\.data-\d{5}-of-\d{5}$", name):
        return _BY_SUFFIX[".index"]
    return _BY_SUFFIX.get(PurePath(name).suffix.lower())
