"""The frozen part of a network: run once for each image, and not again in every epoch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..convert.recipes import RECIPES
from ..convert.sources.traced_model import to_tflite
from ..edge.cores import cores
from ..edge.quiet import silenced
from ..edge.runtime import load_interpreter
from .models import Built

CHUNK = 64


@dataclass(frozen=True)
class Divided:
    """A model in two parts: `front` maps the image to activations, and `back` maps these to pooled features.

    `back` is None if the cut lies behind the base.
    """

    front: Any
    back: Any | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image's activations at the cut."""
        return tuple(self.front.output_shape[1:])


def divide(built: Built, first_trained: int) -> Divided | None:
    """Cut the base at the last place before layer `first_trained` that only one tensor crosses.

    None if there is no such place: then the network has no frozen part.
    """
    base: Any = built.base
    layers = base.layers
    cut = layers[-1] if first_trained >= len(layers) else _last_cut(base, layers[first_trained])
    if cut is None:
        return None
    inputs = keras.Input(built.model.input_shape[1:])
    x = inputs
    for layer in built.model.layers[1:]:
        if layer is base:
            break
        x = layer(x)
    front = keras.Model(inputs, keras.Model(base.input, cut.output)(x))
    return Divided(front, None if cut is layers[-1] else keras.Model(cut.output, base.output))


def _last_cut(base: Any, first: Any) -> Any | None:
    """Return the last operation before `first` whose output is the only input of all later ones."""
    operations = base.operations
    place = {id(tensor): i for i, op in enumerate(operations) for tensor in _flat(op.output)}
    last_use = [0] * len(operations)
    for i, op in enumerate(operations[1:], 1):
        for tensor in _flat(op.input):
            last_use[place[id(tensor)]] = max(last_use[place[id(tensor)]], i)
    limit = operations.index(first)
    # A cut after operation i is clean if no later operation uses an output from before i.
    clean = [i for i in range(1, limit) if all(use <= i for use in last_use[:i])]
    return operations[clean[-1]] if clean else None


def _flat(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def run_front(
    divided: Divided,
    chunks: Iterator[NDArray[Any]],
    target: NDArray[np.float32],
    advance: Callable[[int], None],
) -> None:
    """Fill `target` [images, *shape] with the activations of `chunks`, as `run_network` does."""
    front = divided.front
    run_network(lambda image: front(image, training=False), front.input_shape[1], chunks, target, advance)


def run_network(
    network: Callable[[Any], Any],
    side: int,
    chunks: Iterator[NDArray[Any]],
    target: NDArray[np.float32],
    advance: Callable[[int], None],
) -> None:
    """Fill `target` [images, ...] with what a network answers to `chunks`.

    These are uint8 or float32 [n, side, side, 3]. `network` maps a tensor of one image, float32
    [1, side, side, 3], to its output, [1, ...]. LiteRT, with a single-thread interpreter on each core, is 2.3
    times as fast as Keras, with the same result.
    """
    with silenced():
        call = tf.function(network)
        function = call.get_concrete_function(tf.TensorSpec((1, side, side, 3), tf.float32))
    model = to_tflite(function, RECIPES["float32"], None)
    own = threading.local()

    def compute(start: int, pixels: NDArray[Any]) -> int:
        if not hasattr(own, "interpreter"):
            own.interpreter = load_interpreter(model, 1)
            own.input = own.interpreter.get_input_details()[0]["index"]
            own.output = own.interpreter.get_output_details()[0]["index"]
        for number, image in enumerate(pixels, start):
            own.interpreter.set_tensor(own.input, image[None].astype(np.float32))
            own.interpreter.invoke()
            target[number] = own.interpreter.get_tensor(own.output)[0]
        return len(pixels)

    with ThreadPoolExecutor(cores()) as pool:
        waiting, start = [], 0
        for pixels in chunks:
            waiting.append(pool.submit(compute, start, pixels))
            start += len(pixels)
            if len(waiting) > 2 * cores():  # Bounds the pixels in memory.
                advance(waiting.pop(0).result())
        for future in waiting:
            advance(future.result())
