"""What a .tflite holds, read with the classes that are generated from its schema, as values to compare."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from edge_classify.convert.tflite.flatgraph import pack, unpack


def contents(flatbuffer: bytes) -> dict[str, Any]:
    """Return all fields of the model by name: bytes instead of numbers of buffers, metadata by name."""
    model = _read(flatbuffer)
    names = [entry.name for entry in model.metadata or []]
    assert len(set(names)) == len(names)
    metadata = {entry.name.decode(): _stored(model, entry.buffer) for entry in model.metadata or []}
    fields = {name: _plain(model, value) for name, value in vars(model).items()}
    return {**fields, "buffers": None, "metadata": metadata}


def tensors(flatbuffer: bytes) -> dict[str, dict[str, Any]]:
    """Return the fields of each tensor of the first graph by its name; `buffer` is its bytes."""
    found = contents(flatbuffer)["subgraphs"][0]["tensors"]
    return {tensor["name"].decode(): tensor for tensor in found}


def custom_operation(flatbuffer: bytes) -> bytes:
    """Return the model with its whole graph as one custom operation, as compilers for accelerators do."""
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT(
        builtinCode=schema.BuiltinOperator.CUSTOM, deprecatedBuiltinCode=32, customCode="edgetpu-custom-op"
    )
    model.operatorCodes = [code]
    graph.operators = [schema.OperatorT(opcodeIndex=0, inputs=graph.inputs, outputs=graph.outputs)]
    return pack(model)


def _read(flatbuffer: bytes) -> Any:
    """Return a model of any number of graphs, with weights behind the flatbuffer in its buffers too."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for buffer in model.buffers:
        if buffer.offset:
            buffer.data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def _stored(model: Any, buffer: int) -> bytes:
    data = model.buffers[buffer].data
    return b"" if data is None else np.asarray(data, np.uint8).tobytes()


def _plain(model: Any, value: Any) -> Any:
    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, (list, np.ndarray)):
        return [_plain(model, item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    fields = {name: _plain(model, field) for name, field in vars(value).items()}
    if isinstance(value, (schema.TensorT, schema.MetadataT)):
        fields["buffer"] = _stored(model, value.buffer)
    return fields
