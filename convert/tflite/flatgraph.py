"""A .tflite as objects that can be changed, and as layers that people recognise.

Reading and writing use the classes that are generated from
tensorflow/compiler/mlir/lite/schema/schema.fbs. They unpack as much as a file claims to hold: use them only
for models that this program made, or that `read_graph` has read, which has bounds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...edge.errors import ConversionError
from ...edge.tflite.schema import ALIGNMENT, OPERATIONS, name_of

# Among the operations that TensorFlow has fused into one, the name of the one that gives a layer its name.
_MAIN = re.compile(r"(convolution|depthwise|Conv2D|MatMul|BiasAdd|separable_conv2d)[^/]*$")
_INNER = {"batchnorm", "batch_normalization"}
_ANONYMOUS = re.compile(r"(Stateful)?(Partitioned)?Call(_\d+)?(:\d+)?|Identity(_\d+)?|output_\d+|")


@dataclass(frozen=True)
class Layer:
    """One operation of a model: `index` counts operations in the order in which they run.

    `tensor` is the name of its first output, made unique; `name` is short: the name of the Keras layer where
    it is known. `inputs` and `output` are indices of tensors that are computed (no weights).
    """

    index: int
    operation: str
    tensor: str
    name: str
    inputs: tuple[int, ...]
    output: int


def unpack(flatbuffer: bytes) -> Any:
    """Return a model as a schema.ModelT that holds all weights, also those behind the flatbuffer.

    Raises ConversionError for bytes that are no TFLite model, and for a model that has not exactly one graph.
    """
    try:
        model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
        for buffer in model.buffers:
            if buffer.offset:
                buffer.data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
    except Exception as error:  # The generated reader raises whatever its parts raise.
        raise ConversionError(f"The model is no TFLite flatbuffer, or is damaged ({error})") from error
    if len(model.subgraphs) != 1:
        raise ConversionError(
            f"The model has {len(model.subgraphs)} graphs, for conditions, loops or several signatures, and "
            "only models of one graph can be converted. Layers of Keras that loop, such as LSTM and GRU, "
            "make one graph with unroll=True"
        )
    return model


def pack(model: Any) -> bytes:
    """Return a schema.ModelT as a flatbuffer with all weights inside, each aligned to 16 bytes.

    Buffers that nothing refers to any longer are dropped.
    """
    _drop_unused_buffers(model)
    stored = [buffer for buffer in model.buffers if buffer.data is not None]
    for buffer in stored:  # Lists are packed byte by byte, a thousand times slower than arrays.
        buffer.data = np.asarray(buffer.data, np.uint8)
    builder = _AlignedBuilder(sum(len(buffer.data) for buffer in stored) + 65536)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def repack(flatbuffer: bytes) -> bytes:
    """Return the same model as `pack` writes it: TensorFlow's own packer in Python aligns no weights."""
    return pack(unpack(flatbuffer))


def _drop_unused_buffers(model: Any) -> None:
    holders = [*(t for graph in model.subgraphs for t in graph.tensors), *(model.metadata or [])]
    # The first one is empty, and stands for "none".
    used = sorted({0} | {holder.buffer for holder in holders} | set(_old_metadata(model)))
    numbers = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[old] for old in used]
    for holder in holders:
        holder.buffer = numbers[holder.buffer]
    if _old_metadata(model):
        model.metadataBuffer = [numbers[old] for old in _old_metadata(model)]


def _old_metadata(model: Any) -> list[int]:
    """Return the buffers in the field that named metadata's before the table Metadata was there."""
    return [] if model.metadataBuffer is None else [int(buffer) for buffer in model.metadataBuffer]


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Aligns every vector as Buffer.data must be, since the generated writer ignores `force_align`."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:
        return super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT))


def operation_of(model: Any, operator: Any) -> str:
    """Return an operator's name, such as CONV_2D; for a custom operator the name in the file."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)  # The old field holds what fits into a byte.
    name = name_of(OPERATIONS, number, "operation")
    return text(code.customCode) or name if name == "CUSTOM" else name


def text(raw: bytes | str | None) -> str:
    """Return a name in a model as text; bytes that are not UTF-8 are shown by their codes."""
    return raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else raw or ""


def is_constant(model: Any, tensor: int) -> bool:
    """Return whether a tensor's values are stored in the file."""
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return data is not None and len(data) > 0


def read_layers(model: Any) -> list[Layer]:
    """Return all operations of an unpacked model, in the order in which they run."""
    tensors = model.subgraphs[0].tensors
    names = unique_names([text(tensor.name) for tensor in tensors])
    suffix = _traced_suffix(names[int(o.outputs[0])] for o in model.subgraphs[0].operators)
    layers = []
    for index, operator in enumerate(model.subgraphs[0].operators):
        operation, output = operation_of(model, operator), int(operator.outputs[0])
        inputs = tuple(int(i) for i in operator.inputs if i >= 0 and not is_constant(model, int(i)))
        name = short_name(names[output], suffix) or operation.lower()
        layers.append(Layer(index, operation, names[output], name, inputs, output))
    return layers


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names; names that occurred before get #2, #3 and so on at their end."""
    taken: set[str] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        taken.add(candidate)
        result.append(candidate)
    return result


def short_name(tensor: str, suffix: str = "") -> str:
    """Return the name of a layer from the name of its tensor, which lists all operations fused into it.

    `suffix` is dropped from its end. Returns "" for a name that no one gave, such as "Identity".
    """
    parts = tensor.split(";")
    chosen = next((part for part in parts if _MAIN.search(part)), parts[0])
    scopes = [scope for scope in chosen.split("/") if scope]
    if len(scopes) > 1:
        scopes = scopes[:-1]
    while len(scopes) > 1 and scopes[-1] in _INNER:
        scopes.pop()
    name = scopes[-1] if scopes else ""
    return "" if _ANONYMOUS.fullmatch(name) else name.removesuffix(suffix)


def _traced_suffix(tensors: Any) -> str:
    """Return "_1" when all layers end in it: Keras 3 appends it to every name when it traces a model."""
    names = [name for tensor in tensors if "/" in tensor and (name := short_name(tensor))]
    return "_1" if names and all(name.endswith("_1") for name in names) else ""
