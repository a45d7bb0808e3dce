"""Gives a quantized model 8-bit input and output, which cameras and phones need."""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .flatgraph import operation_of

_UINT8, _FLOAT32 = schema.TensorType.UINT8, schema.TensorType.FLOAT32


def make_uint8_io(model: Any) -> None:
    """Change a schema.ModelT of float32 input and output in place.

    The input becomes uint8 with scale 1 and zero point 0, the output uint8 with scale 1/256 and zero point 0,
    as the TensorFlow converter writes them for a classifier with softmax.
    """
    _make_input(model)
    _make_output(model)


def _make_input(model: Any) -> None:
    graph = model.subgraphs[0]
    index = int(graph.inputs[0])
    consumers = [operator for operator in graph.operators if index in map(int, operator.inputs)]
    if any(operation_of(model, operator) != "QUANTIZE" for operator in consumers):
        # A layer that stays float reads the pixels: they are converted to float for this layer alone.
        pixels = _add_tensor(model, index, b"_pixels")
        graph.operators.insert(0, _operator(model, "DEQUANTIZE", pixels, index))
        for operator in consumers:
            if operation_of(model, operator) == "QUANTIZE":
                operator.inputs = [pixels]
        graph.inputs = [pixels]
        _rename_signature(model, "inputs", index, pixels)
        index = pixels
    _set_uint8(graph.tensors[index], 1.0)


def _make_output(model: Any) -> None:
    graph = model.subgraphs[0]
    index = int(graph.outputs[0])
    maker = next(operator for operator in graph.operators if index in map(int, operator.outputs))
    used_inside = any(index in map(int, operator.inputs) for operator in graph.operators)
    if operation_of(model, maker) == "DEQUANTIZE" and not used_inside:
        maker.opcodeIndex = _code(model, "QUANTIZE")
        maker.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
        maker.builtinOptions = schema.QuantizeOptionsT()
    else:
        result = _add_tensor(model, index, b"_uint8")
        graph.operators.append(_operator(model, "QUANTIZE", index, result))
        graph.outputs = [result]
        _rename_signature(model, "outputs", index, result)
        index = result
    _set_uint8(graph.tensors[index], 1 / 256)


def _set_uint8(tensor: Any, scale: float) -> None:
    tensor.type = _UINT8
    tensor.quantization = schema.QuantizationParametersT(scale=[scale], zeroPoint=[0])


def _add_tensor(model: Any, like: int, suffix: bytes) -> int:
    tensors = model.subgraphs[0].tensors
    source = tensors[like]
    name = (source.name or b"") + suffix
    tensors.append(
        schema.TensorT(
            shape=source.shape, shapeSignature=source.shapeSignature, name=name, buffer=0, type=_FLOAT32
        )
    )
    return len(tensors) - 1


def _operator(model: Any, operation: str, source: int, target: int) -> Any:
    options = {"QUANTIZE": schema.QuantizeOptionsT, "DEQUANTIZE": schema.DequantizeOptionsT}[operation]
    return schema.OperatorT(
        opcodeIndex=_code(model, operation),
        inputs=[source],
        outputs=[target],
        builtinOptionsType=getattr(schema.BuiltinOptions, options.__name__.removesuffix("T")),
        builtinOptions=options(),
    )


def _code(model: Any, operation: str) -> int:
    number = getattr(schema.BuiltinOperator, operation)
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
            return index
    model.operatorCodes.append(
        schema.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=number, version=1)
    )
    return len(model.operatorCodes) - 1


def _rename_signature(model: Any, side: str, old: int, new: int) -> None:
    for signature in model.signatureDefs or []:
        for entry in getattr(signature, side) or []:
            if entry.tensorIndex == old:
                entry.tensorIndex = new
