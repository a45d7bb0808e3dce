"""Small float .tflite classifiers whose class is the strongest of three colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from edge_classify.convert.tflite.flatgraph import pack
from numpy.typing import NDArray

SIZE = 8
NONE, RELU, RELU6 = (getattr(schema.ActivationFunctionType, name) for name in ("NONE", "RELU", "RELU6"))
# The factor by which the channels that matter are smaller than the others, in a layer that 8 bits ruin.
PLANTED = 2.0**-9


def colours(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return noisy pictures, uint8 [count, 8, 8, 3], and their classes, int64 [count]."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, count)
    pixels = rng.integers(0, 190, (count, SIZE, SIZE, 3)).astype(np.uint8)
    for picture, strongest in zip(pixels, truth, strict=True):
        picture[:, :, strongest] += 60
    return pixels, truth


class Builder:
    """Writes a graph layer by layer; `last` is the tensor that the next layer reads."""

    def __init__(self, size: int = SIZE) -> None:
        self.graph = schema.SubGraphT(tensors=[], operators=[], inputs=[0], outputs=[])
        self.model = schema.ModelT(
            version=3, operatorCodes=[], subgraphs=[self.graph], buffers=[schema.BufferT()]
        )
        self.last = self.tensor("image", (1, size, size, 3))

    def tensor(self, name: str | bytes, shape: tuple[int, ...], data: NDArray[Any] | None = None) -> int:
        buffer, dtype = 0, schema.TensorType.FLOAT32
        if data is not None:
            dtype = schema.TensorType.INT32 if data.dtype == np.int32 else dtype
            self.model.buffers.append(schema.BufferT(data=data.reshape(-1).view(np.uint8)))
            buffer = len(self.model.buffers) - 1
        raw = name if isinstance(name, bytes) else name.encode()
        self.graph.tensors.append(schema.TensorT(shape=list(shape), type=dtype, buffer=buffer, name=raw))
        return len(self.graph.tensors) - 1

    def layer(self, name: str | bytes, operation: str, inputs: list[int], shape: tuple[int, ...],
              options: Any = None) -> int:  # fmt: skip
        number = getattr(schema.BuiltinOperator, operation)
        codes = [code.builtinCode for code in self.model.operatorCodes]
        if number not in codes:
            old = min(number, 127)
            self.model.operatorCodes.append(
                schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=old, version=1)
            )
            codes.append(number)
        self.last = self.tensor(name, shape)
        operator = schema.OperatorT(opcodeIndex=codes.index(number), inputs=inputs, outputs=[self.last])
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(
                schema.BuiltinOptions, type(options).__name__.removesuffix("T")
            )
        self.graph.operators.append(operator)
        return self.last

    def rescale(self) -> int:
        factor = self.tensor("factor", (), np.array([1 / 255], np.float32))
        return self.layer(
            "tiny/rescaling/mul", "MUL", [self.last, factor], self._shape(), schema.MulOptionsT()
        )

    def conv(
        self, name: str | bytes, weights: NDArray[Any], bias: NDArray[Any], activation: int = NONE
    ) -> int:
        """Add a 1x1 convolution with weights [out, in]."""
        outputs, inputs = weights.shape
        kernel = self.tensor(b"w", (outputs, 1, 1, inputs), weights.astype(np.float32))
        shift = self.tensor(b"b", (outputs,), bias.astype(np.float32))
        options = schema.Conv2DOptionsT(strideW=1, strideH=1, fusedActivationFunction=activation)
        shape = (*self._shape()[:3], outputs)
        return self.layer(name, "CONV_2D", [self.last, kernel, shift], shape, options)

    def add(self, name: str, one: int, other: int) -> int:
        return self.layer(name, "ADD", [one, other], self._shape(), schema.AddOptionsT())

    def head(self, weights: NDArray[Any]) -> bytes:
        """Add the mean, a dense layer with weights [classes, in] and softmax; return the file."""
        classes, inputs = weights.shape
        axes = self.tensor("axes", (2,), np.array([1, 2], np.int32))
        self.layer("tiny/pool/Mean", "MEAN", [self.last, axes], (1, inputs), schema.ReducerOptionsT())
        kernel = self.tensor("k", (classes, inputs), weights.astype(np.float32))
        shift = self.tensor("s", (classes,), np.zeros(classes, np.float32))
        self.layer("tiny/probabilities/MatMul;tiny/probabilities/BiasAdd", "FULLY_CONNECTED",
                   [self.last, kernel, shift], (1, classes), schema.FullyConnectedOptionsT())  # fmt: skip
        self.layer("Identity", "SOFTMAX", [self.last], (1, classes), schema.SoftmaxOptionsT(beta=1.0))
        return self.file()

    def file(self) -> bytes:
        self.graph.outputs = [self.last]
        return pack(self.model)

    def _shape(self) -> tuple[int, ...]:
        return tuple(self.graph.tensors[self.last].shape)


def tiny_classifier(
    planted: float = 1.0, activation: int = NONE, residual: bool = False, tiny: int = 3
) -> bytes:
    """Return a classifier of six channels, of which three decide on the colour.

    `planted` scales `tiny` channels, these three first, between the layers "project" and "expand"; with
    PLANTED 8 bits lose them. Equalization cannot cross a RELU6 there. With `residual`, "project" and "again"
    are added.
    """
    build = Builder()
    build.rescale()
    rng = np.random.default_rng(0)
    mix = np.vstack([np.eye(3), rng.uniform(0, 1, (3, 3))])
    build.conv("tiny/stem/convolution", mix, np.zeros(6), RELU)
    scale = np.array([planted] * tiny + [1.0] * (6 - tiny))
    one = build.conv("tiny/project/convolution", np.diag(scale), np.zeros(6), activation)
    if residual:
        stem = build.graph.operators[1].outputs[0]
        build.last = stem
        other = build.conv("tiny/again/convolution", np.diag(scale), np.zeros(6))
        build.add("tiny/sum/add", one, other)
    build.conv("tiny/expand/convolution", np.diag(1 / scale), np.zeros(6), RELU)
    weights = np.zeros((3, 6))
    weights[:, :3] = 30 * np.eye(3)
    return build.head(weights)


def model_with(code: int, version: int = 1, custom: str | None = None) -> bytes:
    """Return a model that lists one operation without using it; its output is its input."""
    operation = schema.OperatorCodeT(min(code, 127), custom, version, code)
    tensor = schema.TensorT(shape=[1], name="number")
    graph = schema.SubGraphT(tensors=[tensor], inputs=[0], outputs=[0], operators=[])
    return pack(schema.ModelT(3, [operation], [graph], buffers=[schema.BufferT()]))
