"""What files give for pictures: features, logits and probabilities, read from the interpreter and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from edge_classify.benchmarks.scoring.predict import read_pixels
from edge_classify.convert.outliers import OUTLIERS
from edge_classify.convert.tflite.flatgraph import pack, unpack
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import ConversionError, ImageError
from edge_classify.edge.progress import progress
from edge_classify.edge.runtime import Execution, open_interpreter
from edge_classify.edge.tensors import TensorSpec, dequantize, to_tensor
from edge_classify.edge.tflite.last_layer import find_last_layer
from edge_classify.edge.tflite.model import EditableModel
from numpy.typing import NDArray

from studies.unknown.runs import Pictures
from studies.unknown.scores import Outputs

_FIELDS = ("features", "logits", "probabilities")


@dataclass(frozen=True)
class Read:
    """The outputs for the pictures that could be read, and the paths and labels of these."""

    outputs: Outputs
    paths: tuple[str, ...]
    labels: tuple[str, ...]


def with_features(flatbuffer: bytes) -> bytes:
    """Return a model with three outputs: what its last dense layer reads, its logits, and its own output.

    Raises ConversionError for a model that does not end in a dense layer and softmax.
    """
    layer = find_last_layer(EditableModel(flatbuffer))
    if layer is None or layer.operator.name != "FULLY_CONNECTED":
        raise ConversionError("The model does not end in a fully connected layer and softmax")
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    graph.outputs = [layer.operator.inputs[0], layer.operator.outputs[0], int(graph.outputs[0])]
    model.signatureDefs = None  # They name the old outputs.
    return pack(model)


class FeatureReader:
    """A file that gives features too; it is loaded into an interpreter when it is first read."""

    def __init__(self, flatbuffer: bytes, temperature: float) -> None:
        """Take a file into which `temperature` was built."""
        self.key = hashlib.sha256(flatbuffer).hexdigest()
        self._flatbuffer, self._temperature = flatbuffer, np.float32(temperature)

    @cached_property
    def _interpreter(self) -> Any:
        return open_interpreter(with_features(self._flatbuffer), Execution()).interpreter

    def read(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return features, logits and probabilities, each float32 in one dimension, for one picture."""
        taken, given = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._interpreter.set_tensor(
            taken[0]["index"], to_tensor(pixels, TensorSpec.from_details(taken[0]), None)
        )
        self._interpreter.invoke()
        features, logits, probabilities = (
            dequantize(
                self._interpreter.get_tensor(details["index"]), TensorSpec.from_details(details)
            ).ravel()
            for details in given
        )
        return [features, logits * self._temperature, probabilities]


def read_pictures(
    readers: Mapping[str, FeatureReader], pictures: Pictures, card: ModelCard, folder: Path
) -> dict[str, Read]:
    """Return what each of the files gives for the pictures, each decoded once; `folder` keeps it.

    Pictures that cannot be read are left out. Raises ConversionError where none can be.
    """
    places = {name: folder / f"{_key(reader, pictures)}.npz" for name, reader in readers.items()}
    if not all(place.is_file() for place in places.values()):
        folder.mkdir(parents=True, exist_ok=True)
        for name, arrays in _compute(readers, pictures, card).items():
            partial = places[name].with_suffix(".partial.npz")
            np.savez(partial, **arrays)
            partial.rename(places[name])
    return {name: _load(place) for name, place in places.items()}


def _compute(
    readers: Mapping[str, FeatureReader], pictures: Pictures, card: ModelCard
) -> dict[str, dict[str, Any]]:
    rows: dict[str, list[list[NDArray[np.float32]]]] = {name: [] for name in readers}
    read = []
    with progress(pictures.name, len(pictures.images), "images") as advance:
        for number, image in enumerate(pictures.images):
            advance()
            try:
                pixels = read_pixels(image, card.input, card.preprocess)
            except ImageError:
                continue
            read.append(image)
            if pictures.outlier is not None:
                pixels = OUTLIERS[pictures.outlier](pixels, np.random.default_rng(number))
            for name, reader in readers.items():
                rows[name].append(reader.read(pixels))
    if not read:
        raise ConversionError(f"None of the {len(pictures.images)} pictures ({pictures.name}) can be read")
    names = {
        "paths": np.array([str(image.path) for image in read]),
        "labels": np.array([image.label for image in read]),
    }
    return {
        name: dict(zip(_FIELDS, map(np.stack, zip(*found, strict=True)), strict=True)) | names
        for name, found in rows.items()
    }


def _load(place: Path) -> Read:
    with np.load(place) as stored:
        outputs = Outputs(*(stored[name] for name in _FIELDS))
        return Read(outputs, tuple(map(str, stored["paths"])), tuple(map(str, stored["labels"])))


def _key(reader: FeatureReader, pictures: Pictures) -> str:
    images: Sequence[Any] = [[str(i.path), i.sha256 or i.path.stat().st_size] for i in pictures.images]
    text = json.dumps([reader.key, pictures.outlier, images])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
