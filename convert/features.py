"""What the last layer of a variant reads for pictures: its features, beside the probabilities."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.predict import read_pixels
from ..edge.card import ModelCard
from ..edge.cores import cores
from ..edge.errors import ConversionError, ImageError
from ..edge.labelled import LabelledImage
from ..edge.progress import progress
from ..edge.runtime import load_interpreter
from ..edge.tensors import TensorSpec, dequantize, to_tensor
from ..edge.tflite.last_layer import find_last_layer
from ..edge.tflite.model import EditableModel
from .tflite.flatgraph import pack, unpack

# Takes the pixels of an image, uint8 [height, width, 3], and its number, and returns other pixels.
Change = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


@dataclass(frozen=True)
class PictureFeatures:
    """What a variant gives for pictures, one row each.

    `features`, float32 [pictures, features], is what the last layer reads, and `probabilities`, float32
    [pictures, classes], the output. `images` are the pictures' origins, without those that cannot be read.
    """

    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    images: list[LabelledImage]


def read_features(
    flatbuffer: bytes,
    card: ModelCard,
    images: Sequence[LabelledImage],
    title: str,
    changes: Sequence[Change] = (),
) -> PictureFeatures:
    """Run a variant without metadata on images, on every core; images that cannot be read are left out.

    With `changes` each image becomes one picture by each of them. `title` stands before the progress bar.
    Raises ConversionError for a model that does not end in a fully connected layer and softmax.
    """
    model = _with_features(flatbuffer)
    own = threading.local()

    def run(numbered: tuple[int, LabelledImage]) -> list[tuple[NDArray[np.float32], ...]]:
        number, image = numbered
        if not hasattr(own, "interpreter"):
            own.interpreter = load_interpreter(model, 1)
        try:
            pixels = read_pixels(image, card.input, card.preprocess)
        except ImageError:
            return []
        pictures: Iterable[NDArray[np.uint8]] = [change(pixels, number) for change in changes] or [pixels]
        return [_run(own.interpreter, picture) for picture in pictures]

    read, rows = [], []
    pool = ThreadPoolExecutor(cores())
    try:
        with progress(title, len(images), "images") as advance:
            for image, found in zip(images, pool.map(run, enumerate(images)), strict=True):
                advance()
                read += [image] * len(found)
                rows += found
    finally:
        pool.shutdown(cancel_futures=True)
    classes = len(card.labels)
    if not rows:
        return PictureFeatures(np.empty((0, 0), np.float32), np.empty((0, classes), np.float32), [])
    features, probabilities = (np.stack(column) for column in zip(*rows, strict=True))
    return PictureFeatures(features, probabilities, read)


def _with_features(flatbuffer: bytes) -> bytes:
    """Return a model with two outputs: what its last layer reads, and its own output."""
    layer = find_last_layer(EditableModel(flatbuffer))
    if layer is None or layer.operator.name != "FULLY_CONNECTED":
        raise ConversionError("The model does not end in a fully connected layer and softmax")
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    graph.outputs = [layer.operator.inputs[0], int(graph.outputs[0])]
    model.signatureDefs = None  # They name the old outputs.
    return pack(model)


def _run(interpreter: Any, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    given = TensorSpec.from_details(interpreter.get_input_details()[0])
    interpreter.set_tensor(given.index, to_tensor(pixels, given, None))
    interpreter.invoke()
    results = map(TensorSpec.from_details, interpreter.get_output_details())
    return tuple(dequantize(interpreter.get_tensor(one.index), one).reshape(-1) for one in results)
