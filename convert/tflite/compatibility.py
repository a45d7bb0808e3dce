"""What an older TFLite runtime can run, and how files for it are made.

32-bit Raspberry Pis have no newer runtime than tflite-runtime 2.14.0. A TFLite file states the version of
each operation that it needs, and a runtime refuses a file that needs a newer version than it knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...edge.errors import OptionError
from ...edge.tflite.schema import OPERATIONS, name_of

# The version that TensorFlow's converter (2.21) states for FULLY_CONNECTED whose weights have a scale for
# each channel, under float activations.
_DENSE_WITH_CHANNELS_UNDER_FLOAT = 12

# The operations by the highest version that tflite-runtime 2.14.0 accepts, found by trying each operation and
# version (tests/clients tries again). TensorFlow 2.14 registers them in lite/core/kernels/register.cc.
_TFLITE_RUNTIME_2_14 = {
    10: """
        FULLY_CONNECTED
    """,
    8: """
        STRIDED_SLICE
    """,
    7: """
        CONV_2D DEPTHWISE_CONV_2D MUL
    """,
    6: """
        GATHER SLICE TRANSPOSE
    """,
    5: """
        ABS ADD CAST DEQUANTIZE SUB
    """,
    4: """
        BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION EQUAL FILL GATHER_ND LSTM MAXIMUM MINIMUM PACK PAD
        PADV2 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SELECT SPACE_TO_BATCH_ND SPLIT SVDF TRANSPOSE_CONV
        UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
    """,
    3: """
        ARG_MAX ARG_MIN AVERAGE_POOL_2D BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN BROADCAST_TO
        EMBEDDING_LOOKUP FLOOR_DIV GREATER_EQUAL LESS LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD NOT_EQUAL
        QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 REVERSE_V2 RNN SOFTMAX SPARSE_TO_DENSE TANH TILE TOPK_V2
        UNIDIRECTIONAL_SEQUENCE_RNN
    """,
    2: """
        DEPTH_TO_SPACE DIV EXP FAKE_QUANT FLOOR_MOD GELU GREATER L2_NORMALIZATION LEAKY_RELU LESS_EQUAL
        LOG_SOFTMAX RANGE REDUCE_PROD RSQRT SELECT_V2 SIGN SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE SQUEEZE
        SUM WHERE
    """,
    1: """
        ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE CEIL COMPLEX_ABS
        CONV_3D CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP_SPARSE
        EXPAND_DIMS FLOOR HARD_SWISH HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_LOOKUP
        HASHTABLE_SIZE IF IMAG L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT
        LOGICAL_OR LSH_PROJECTION MATRIX_DIAG MATRIX_SET_DIAG MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4
        NON_MAX_SUPPRESSION_V5 ONE_HOT POW PRELU RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANK READ_VARIABLE
        REAL REDUCE_ALL REDUCE_ANY RELU_0_TO_1 RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE RFFT2D RIGHT_SHIFT
        ROUND SCATTER_ND SEGMENT_SUM SHAPE SIN SKIP_GRAM SQRT SQUARE UNIQUE UNSORTED_SEGMENT_MAX
        UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM VAR_HANDLE WHILE ZEROS_LIKE
    """,
}


@dataclass(frozen=True)
class OlderRuntime:
    """An older runtime that files are made for, and the highest version that it knows of each operation."""

    name: str
    operations: dict[str, int]


OLDER_RUNTIMES = {
    target.name: target
    for target in (
        OlderRuntime(
            "tflite-runtime-2.14",
            {name: version for version, names in _TFLITE_RUNTIME_2_14.items() for name in names.split()},
        ),
    )
}


def find_older_runtime(name: str) -> OlderRuntime:
    """Return the runtime of that exact name; raises OptionError, which lists the valid names."""
    if name not in OLDER_RUNTIMES:
        raise OptionError(
            f"--compatible names a runtime that is not known. Received: {name!r}. "
            f"Valid: {', '.join(OLDER_RUNTIMES)}"
        )
    return OLDER_RUNTIMES[name]


def converter_settings(target: OlderRuntime | None, *, dynamic: bool) -> dict[str, Any]:
    """Return the attributes of TFLiteConverter, by name, that make a file for `target`; empty for None.

    `dynamic` means that the file has 8-bit weights and float activations. Only such files need a setting: one
    scale for all weights of a dense layer. Float, 16-bit and fully quantized files stay as they are.
    """
    if target is None or not dynamic or _knows_dense_with_channels(target):
        return {}
    return {"_experimental_disable_per_channel_quantization_for_dense_layers": True}


def unsupported(flatbuffer: bytes, target: OlderRuntime) -> list[str]:
    """Return what `target` cannot run in a TFLite model, such as "FULLY_CONNECTED version 12 (it knows 10)".

    Dense layers with a scale for each channel of 8-bit weights, under float activations, are listed whatever
    version the file states: litert-quantizer states 1 for every operation, and a runtime that does not know
    such layers then gives wrong answers without an error. Fully quantized layers run correctly, also among
    float layers.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(flatbuffer)
    needed = [
        (_operation(code), code.Version())
        for code in (model.OperatorCodes(index) for index in range(model.OperatorCodesLength()))
    ]
    if any(_dense_layers_with_channels(model)):
        needed.append(("FULLY_CONNECTED", _DENSE_WITH_CHANNELS_UNDER_FLOAT))
    lacking = [_lacking(operation, version, target) for operation, version in needed]
    return list(dict.fromkeys(lack for lack in lacking if lack is not None))


def _knows_dense_with_channels(target: OlderRuntime) -> bool:
    return target.operations.get("FULLY_CONNECTED", 0) >= _DENSE_WITH_CHANNELS_UNDER_FLOAT


def _lacking(operation: str, version: int, target: OlderRuntime) -> str | None:
    known = target.operations.get(operation)
    if known is None:
        return f"{operation} (it has no such operation)"
    return f"{operation} version {version} (it knows {known})" if version > known else None


def _operation(code: Any) -> str:
    """Return the operation's name in schema.fbs; for a custom operation the name in the file."""
    from ai_edge_litert import schema_py_generated as schema

    # The old field holds what fits into a byte.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        return f"custom operation {(code.CustomCode() or b'').decode(errors='replace')!r}"
    return name_of(OPERATIONS, number, "operation")


def _dense_layers_with_channels(model: Any) -> Iterator[bool]:
    """Yield for each dense layer whether it has float input, and 8-bit weights with a scale a channel."""
    from ai_edge_litert import schema_py_generated as schema

    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
            if _operation(model.OperatorCodes(operator.OpcodeIndex())) != "FULLY_CONNECTED":
                continue
            given, weights = (graph.Tensors(operator.Inputs(index)) for index in range(2))
            scales = weights.Quantization().ScaleLength() if weights.Quantization() else 0
            yield (
                given.Type() == schema.TensorType.FLOAT32
                and weights.Type() == schema.TensorType.INT8
                and scales > 1
            )
