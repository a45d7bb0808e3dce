"""Small .tflite files, made from the schema without TensorFlow."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from edge_classify.edge.card import InputSpec, ModelCard
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.tflite.sealing import Golden, complete_card, seal

LABELS = ("red", "green", "blue", "grey")
# RGB of the first three labels.
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SIDE = 8
_DTYPES = {"float32": 0, "float16": 1, "int32": 2, "int8": 9}
_NO_BUFFER = 0

# The shortest valid card.json of a model of 8x8 pixels.
CARD: dict[str, object] = {
    "format": "1.0",
    "name": "m",
    "labels": ["r", "g", "b"],
    "input": {"height": 8, "width": 8, "dtype": "uint8"},
}


class TinyModel:
    """Collects tensors and operators, and packs them."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]

    def tensor(self, name: str, shape: Sequence[int], data: Any = None, dtype: str = "float32",
               scales: Sequence[float] = (), axis: int = 0) -> int:  # fmt: skip
        buffer = _NO_BUFFER
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append(
                schema.BufferT(data=np.frombuffer(np.asarray(data, dtype).tobytes(), np.uint8))
            )
        quantization = None
        if scales:
            zeros = [0] * len(scales)
            quantization = schema.QuantizationParametersT(
                scale=list(scales), zeroPoint=zeros, quantizedDimension=axis
            )
        self.tensors.append(
            schema.TensorT(
                shape=list(shape), type=_DTYPES[dtype], buffer=buffer, name=name, quantization=quantization
            )
        )
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: Any = None) -> None:
        code = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
        custom = name if code == schema.BuiltinOperator.CUSTOM else None
        self.codes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, customCode=custom)
        )
        kind = type(options).__name__.removesuffix("T") if options else "NONE"
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=len(self.codes) - 1,
                inputs=list(inputs),
                outputs=list(outputs),
                builtinOptionsType=getattr(schema.BuiltinOptions, kind),
                builtinOptions=options,
            )
        )

    def pack(self, inputs: Sequence[int], outputs: Sequence[int], signature: str | None = None) -> bytes:
        graph = schema.SubGraphT(
            tensors=self.tensors,
            inputs=list(inputs),
            outputs=list(outputs),
            operators=self.operators,
            name="main",
        )
        ends = [
            [schema.TensorMapT(name=self.tensors[index].name, tensorIndex=index) for index in side]
            for side in (inputs, outputs)
        ]
        signatures = [schema.SignatureDefT(inputs=ends[0], outputs=ends[1], signatureKey=signature)]
        model = schema.ModelT(
            version=3,
            operatorCodes=self.codes,
            subgraphs=[graph],
            buffers=self.buffers,
            description="tiny",
            signatureDefs=signatures if signature else None,
        )
        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


def classifier(middle: str | None = None, name: str = "image", half: bool = False) -> bytes:
    """Return a float32 classifier of four classes that looks at the mean colour of 8x8 pixels.

    It is CONV_2D, then `middle` (an operation that keeps the shape, or a custom one of that name), MEAN,
    FULLY_CONNECTED and SOFTMAX. `half` stores the kernel as float16, which DEQUANTIZE unpacks.
    """
    model = TinyModel()
    image = model.tensor(name, (1, SIDE, SIDE, 3))
    values = np.zeros((4, 3, 3, 3))
    values[range(3), 1, 1, range(3)] = values[3, 1, 1] = 1 / 64
    if half:
        stored = model.tensor("half", values.shape, values, "float16")
        kernel = model.tensor("kernel", values.shape)
        model.operator("DEQUANTIZE", [stored], [kernel], schema.DequantizeOptionsT())
    else:
        kernel = model.tensor("kernel", values.shape, values)
    bias = model.tensor("bias", (4,), [0, 0, 0, -4])
    maps = model.tensor("maps", (1, SIDE, SIDE, 4))
    model.operator("CONV_2D", [image, kernel, bias], [maps], schema.Conv2DOptionsT(strideW=1, strideH=1))
    if middle:
        kept = maps
        maps = model.tensor("kept", (1, SIDE, SIDE, 4))
        axis = [model.tensor("axis", (), 3, "int32")] if middle == "CUMSUM" else []
        model.operator(middle, [kept, *axis], [maps], schema.CumsumOptionsT() if axis else None)
    axes = model.tensor("axes", (2,), [1, 2], "int32")
    mean = model.tensor("mean", (1, 4))
    model.operator("MEAN", [maps, axes], [mean], schema.ReducerOptionsT())
    weights = model.tensor("weights", (4, 4), np.eye(4))
    logits, result = model.tensor("logits", (1, 4)), model.tensor("probability", (1, 4))
    model.operator("FULLY_CONNECTED", [mean, weights], [logits], schema.FullyConnectedOptionsT())
    model.operator("SOFTMAX", [logits], [result], schema.SoftmaxOptionsT(beta=1.0))
    return model.pack([image], [result])


def card(labels: tuple[str, ...] = LABELS) -> ModelCard:
    return ModelCard("tiny", labels, InputSpec(SIDE, SIDE, "float32"))


def golden_pixels(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def write_sealed(path: Path, flatbuffer: bytes | None = None, tolerance: float = 0.01) -> Path:
    """Write a file as edge-convert does, with two golden examples made by the model itself."""
    flatbuffer = flatbuffer or classifier()
    finished = complete_card(flatbuffer, card(), "float32")
    path.write_bytes(seal(flatbuffer, finished))
    loaded = Classifier.from_file(path)
    pictures = [golden_pixels(seed) for seed in (1, 2)]
    golden = [Golden(p, loaded.classify_pixels(p).probabilities, tolerance) for p in pictures]
    path.write_bytes(seal(flatbuffer, finished, golden))
    return path


def with_zip(model: Path, path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write the model to `path`, with a zip of these entries appended."""
    buffer = BytesIO(model.read_bytes())
    with zipfile.ZipFile(buffer, "a", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path
