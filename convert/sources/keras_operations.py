"""TensorFlow's functions in the graphs of Keras 2, such as `x / 255`, as the operations of Keras 3.

Keras 2 recorded a function that was called on a layer's output as a layer of class TFOpLambda,
SlicingOpLambda or TensorFlowOpLayer, which Keras 3 does not have. Only the functions of the tables here are
known; the configuration names a key of them, and never a function that is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...edge.errors import ConversionError

OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_RESIZE_METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5")


@dataclass(frozen=True)
class _Operation:
    """A class of keras.src.ops, and where TensorFlow's arguments go.

    `operands` are the arguments after the first that are passed in the call, `options` those that the
    constructor takes, by the name that it has for them. `fixed` is what TensorFlow's function always does.
    """

    path: str
    operands: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


class OperationCall(NamedTuple):
    """An operation of Keras 3 and the arguments of one call of it."""

    module: str
    name: str
    options: dict[str, Any]
    arguments: list[Any]


def _two(path: str, second: str = "y") -> _Operation:
    return _Operation(path, (second,))


def _reduction(path: str) -> _Operation:
    return _Operation(path, options={"axis": "axis", "keepdims": "keepdims"})


_SQUEEZE = _Operation("numpy.Squeeze", options={"axis": "axis", "squeeze_dims": "axis"})
_SILU = _Operation("nn.Silu")
_FUNCTIONS: dict[str, _Operation] = {
    "add": _two("numpy.Add"),
    "subtract": _two("numpy.Subtract"),
    "multiply": _two("numpy.Multiply"),
    "truediv": _two("numpy.TrueDivide"),
    "divide": _two("numpy.TrueDivide"),
    "pow": _two("numpy.Power"),
    "maximum": _two("numpy.Maximum"),
    "minimum": _two("numpy.Minimum"),
    "matmul": _two("numpy.Matmul", "b"),
    "bias_add": _two("numpy.Add", "bias"),
    "negative": _Operation("numpy.Negative"),
    "abs": _Operation("numpy.Absolute"),
    "exp": _Operation("numpy.Exp"),
    "log": _Operation("numpy.Log"),
    "sqrt": _Operation("numpy.Sqrt"),
    "rsqrt": _Operation("math.Rsqrt"),
    "square": _Operation("numpy.Square"),
    "reciprocal": _Operation("numpy.Reciprocal"),
    "relu": _Operation("nn.Relu"),
    "relu6": _Operation("nn.Relu6"),
    "elu": _Operation("nn.Elu"),
    "selu": _Operation("nn.Selu"),
    "silu": _SILU,
    "swish": _SILU,
    "gelu": _Operation("nn.Gelu", options={"approximate": "approximate"}, fixed={"approximate": False}),
    "leaky_relu": _Operation(
        "nn.LeakyRelu", options={"alpha": "negative_slope"}, fixed={"negative_slope": 0.2}
    ),
    "softplus": _Operation("nn.Softplus"),
    "sigmoid": _Operation("nn.Sigmoid"),
    "tanh": _Operation("numpy.Tanh"),
    "softmax": _Operation("nn.Softmax", options={"axis": "axis"}),
    # TensorFlow bounds the sum of squares from below, and Keras its root.
    "l2_normalize": _Operation("nn.Normalize", options={"axis": "axis"}, fixed={"epsilon": 1e-6}),
    "reduce_mean": _reduction("numpy.Mean"),
    "reduce_sum": _reduction("numpy.Sum"),
    "reduce_max": _reduction("numpy.Max"),
    "reduce_min": _reduction("numpy.Min"),
    "reshape": _Operation("numpy.Reshape", options={"shape": "newshape"}),
    "transpose": _Operation("numpy.Transpose", options={"perm": "axes"}),
    "expand_dims": _Operation("numpy.ExpandDims", options={"axis": "axis"}),
    "squeeze": _SQUEEZE,
    "concat": _Operation("numpy.Concatenate", options={"axis": "axis"}),
    "stack": _Operation("numpy.Stack", options={"axis": "axis"}, fixed={"axis": 0}),
    "reverse": _Operation("numpy.Flip", options={"axis": "axis"}),
    "cast": _Operation("core.Cast", options={"dtype": "dtype"}),
    "clip_by_value": _Operation(
        "numpy.Clip", options={"clip_value_min": "x_min", "clip_value_max": "x_max"}
    ),
    "pad": _Operation("numpy.Pad", options={"paddings": "pad_width", "mode": "mode"}),
    "resize": _Operation(
        "image.Resize", options={"size": "size", "method": "interpolation", "antialias": "antialias"}
    ),
    "stop_gradient": _Operation("core.StopGradient"),
}  # fmt: skip
# Where TensorFlow has these functions: others of the same last name may do other things.
_PLACES = ("", "math.", "nn.", "linalg.", "image.", "__operators__.", "compat.v1.", "compat.v1.nn.")
# The operations of a TensorFlow graph that Keras 2.0 to 2.3 recorded, by the functions that make them.
_NODES = {
    "Add": "add", "AddV2": "add", "Sub": "subtract", "Mul": "multiply", "RealDiv": "truediv", "Pow": "pow",
    "Maximum": "maximum", "Minimum": "minimum", "BiasAdd": "bias_add", "Neg": "negative", "Abs": "abs",
    "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Square": "square", "Relu": "relu",
    "Relu6": "relu6", "Elu": "elu", "Selu": "selu", "Softplus": "softplus", "Sigmoid": "sigmoid",
    "Tanh": "tanh", "Softmax": "softmax",
}  # fmt: skip


def operation_call(config: Mapping[str, Any], first: Any, others: Mapping[str, Any]) -> OperationCall:
    """Return what a TFOpLambda or SlicingOpLambda calls; `first` and `others` are its arguments.

    Raises ConversionError, which names the function, for one that is not known here.
    """
    function = str(config.get("function"))
    given = {key: value for key, value in others.items() if value is not None and key != "name"}
    if function == "__operators__.getitem":
        return _slicing(first, given)
    place, dot, last = function.rpartition(".")
    operation = _FUNCTIONS.get(last) if f"{place}{dot}" in _PLACES else None
    if operation is None:
        raise ConversionError(f"TensorFlow's function tf.{function} has no translation")
    return _called(operation, function, first, given)


def node_call(config: Mapping[str, Any], tensors: Sequence[Any]) -> OperationCall:
    """Return what a TensorFlowOpLayer calls; `tensors` are its inputs that other layers computed.

    Raises ConversionError, which names the operation, for one that is not known here.
    """
    node = config.get("node_def")
    kind = node.get("op") if isinstance(node, dict) else None
    operation = _FUNCTIONS.get(_NODES.get(str(kind), ""))
    constants = config.get("constants") or {}
    places = {int(place): value for place, value in constants.items()}
    inputs, waiting = [], list(tensors)
    for place in range(len(tensors) + len(places)):
        inputs.append(_array(places[place]) if place in places else waiting.pop(0))
    if operation is None or len(inputs) != 1 + len(operation.operands):
        raise ConversionError(f"TensorFlow's operation {kind} has no translation")
    return _called(operation, str(kind), inputs[0], dict(zip(operation.operands, inputs[1:], strict=True)))


def _called(operation: _Operation, function: str, first: Any, given: dict[str, Any]) -> OperationCall:
    given = _without_defaults(function.rpartition(".")[2], given)
    unknown = sorted(set(given) - set(operation.operands) - set(operation.options))
    lacking = [name for name in operation.operands if name not in given]
    if unknown or lacking:
        raise ConversionError(
            f"TensorFlow's function tf.{function} with {', '.join(unknown + lacking)} has no translation"
        )
    options = dict(operation.fixed) | {
        operation.options[name]: value for name, value in given.items() if name in operation.options
    }
    operands = [_array(given[name]) for name in operation.operands]
    module, _, name = operation.path.rpartition(".")
    return OperationCall(f"keras.src.ops.{module}", name, options, [_array(first), *operands])


def _without_defaults(function: str, given: dict[str, Any]) -> dict[str, Any]:
    """Leave out arguments that say what is done anyway; raise ConversionError for other values of them."""
    defaults: dict[str, tuple[Any, ...]] = {
        "data_format": ("NHWC", "channels_last"),
        "preserve_aspect_ratio": (False,),
        "beta": (1, 1.0),
        "transpose_a": (False,), "transpose_b": (False,), "adjoint_a": (False,), "adjoint_b": (False,),
        "constant_values": (0, 0.0),
        "conjugate": (False,),
    }  # fmt: skip
    rest = {key: value for key, value in given.items() if value not in defaults.get(key, ())}
    if function == "pad" and "mode" in rest:
        rest["mode"] = str(rest["mode"]).lower()
    if function == "resize" and rest.get("method", "bilinear") not in _RESIZE_METHODS:
        raise ConversionError(f"TensorFlow's way to resize, {rest['method']!r}, has no translation")
    if function == "cast" and not isinstance(rest.get("dtype"), str):
        raise ConversionError("TensorFlow's function tf.cast without the name of a dtype has no translation")
    return rest


def _slicing(first: Any, given: Mapping[str, Any]) -> OperationCall:
    specification = given.get("slice_spec")
    parts = specification if isinstance(specification, list) else [specification]
    return OperationCall("keras.src.ops.numpy", "GetItem", {}, [first, [_slice(part) for part in parts]])


def _slice(part: Any) -> Any:
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    bounds = part.values() if isinstance(part, dict) and set(part) == {"start", "stop", "step"} else None
    if bounds is not None and all(side is None or isinstance(side, int) for side in bounds):
        return {"class_name": "__slice__", "config": dict(part)}
    if part is None or isinstance(part, int):
        return part
    raise ConversionError("a slice whose bounds are computed has no translation")


def _array(value: Any) -> Any:
    """Return a list of numbers as an array, which an operation takes for an operand."""
    flat = [value]
    while flat and all(isinstance(item, list) for item in flat):
        flat = [inner for item in flat for inner in item]
    if isinstance(value, list) and flat and all(isinstance(item, int | float) for item in flat):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}
    return value
