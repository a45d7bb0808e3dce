"""Models of other programs are called what they are, with the way from there; .tflite files never ask."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from edge_classify.convert.sources.model_format import model_format
from edge_classify.edge.errors import ConversionError, ModelFileError
from edge_classify.edge.modelfile import ModelFile
from PIL import Image


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            zipped.writestr(name, "x" * 9)
    return file.getvalue()


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


# First bytes as these programs write them: protobuf fields, pickle's protocols, the header of safetensors.
ELSEWHERE = {
    "named.tflite": (b"\x08\x08\x12\x07pytorch\x1a\x032.1", "is an ONNX model.*onnx2tf"),
    "m.onnx": (bytes(40), "is an ONNX model.*onnx2tf"),
    "zipped.bin": (archive("m/data.pkl", "m/data/0", "m/version"), "is a PyTorch file.*litert-torch"),
    "old.bin": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(9), "is a PyTorch file"),
    "m.pth": (bytes(40), "is a PyTorch file"),
    "pickled": (b"\x80\x04\x95" + bytes(40), "Python pickle, which is a program and is not run"),
    "frozen.pb": (b"\n;\n\x02in\x12\x0bPlaceholder", "a graph of TensorFlow 1.*from_frozen_graph"),
    "m.mlmodel": (b"\x08\x04\x12\x05image", "is a Core ML model"),
    "model.json": (b'{"format": "layers-model", "modelTopology": {', "TensorFlow.js model.*_converter"),
    "graph.json": (b'{"format": "graph-model", "modelTopology": {', "TensorFlow.js graph model"),
    "architecture": (b'{"class_name": "Functional"', "without its weights.*model_from_json"),
    "w": (b'\x3c\0\0\0\0\0\0\0{"w":{"dtype":"F32"}}', "a safetensors file, which holds weights and no model"),
    "v.data-00000-of-00001": (bytes(40), "a part of a checkpoint, which holds weights and no model"),
    "m.xml": (b'<?xml version="1.0"?>\n<net name="m">', "is an OpenVINO model"),
    "m.tar.gz": (b"\x1f\x8b\x08" + bytes(40), "is an archive. Unpack it"),
    "photo.tflite": (picture(), r"is a picture \(PNG\), and no model"),
    "empty.tflite": (b"", "is empty"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_model_of_another_program_is_named_with_the_way_out_by_all_readers(name: str, tmp_path: Path) -> None:
    content, words = ELSEWHERE[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=f"{name} {words}|{name} .*{words}"):
        model_format(path)
    with pytest.raises(ModelFileError, match=words):
        ModelFile.read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(40)),
        ("m.keras", archive("metadata.json", "config.json", "model.weights.h5")),
        ("saved_model.pb", b"\x08\x01"),
    ],
)
def test_runner_sends_what_can_be_converted_to_edge_convert(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"edge-convert makes \.tflite files of "):
        ModelFile.read(path)


def test_archive_that_ends_within_its_first_header_is_an_archive(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"PK\3\4\x14\0\0\0")
    with pytest.raises(ModelFileError, match=r"is an archive\. Unpack it"):
        ModelFile.read(tmp_path / "m.tflite")


def test_folders_of_models_are_told_apart(tmp_path: Path) -> None:
    saved, web, core, other = (tmp_path / name for name in ("saved", "web", "m.mlpackage", "other"))
    for folder in (saved, web, core, other):
        folder.mkdir()
    (saved / "saved_model.pb").write_bytes(b"\x08\x01")
    (web / "model.json").write_text('{"format": "layers-model"}')
    sentences = {saved: "is a SavedModel. edge-convert", web: "is a TensorFlow.js", core: "is a Core ML"}
    for folder, words in sentences.items():
        with pytest.raises(ModelFileError, match=words):
            ModelFile.read(folder)
    with pytest.raises(ModelFileError, match="is not a file"):
        ModelFile.read(other)
