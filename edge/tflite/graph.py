"""Reads the graph of any .tflite: tensors, operators and signatures.

It uses the bounded reader of edge/flatbuffer.py, since generated classes would unpack as much as a hostile
file claims to hold. Fields are numbered as in tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..flatbuffer import BOOL, INT8, INT32, UINT8, UINT32, UINT64, FlatTable
from .schema import OPERATIONS, TENSOR_TYPES, name_of

_LENIENT = "backslashreplace"  # Names that are not UTF-8 are shown: here they do no harm.
_BLOCKWISE = 2  # Of the union QuantizationDetails.
_UNPACKING = ("DEQUANTIZE", "DENSIFY")  # They make the weights of the next operator from a constant.
_BITS = {"bool": 8, "complex64": 64, "complex128": 128}


@dataclass(frozen=True)
class Quantization:
    """The meaning of stored values: `real = (stored - zero_point) * scale`.

    `kind` is "per tensor", "per channel" (a scale for each index along `axis`) or "blockwise". `scale` and
    `zero_point` are those of the first channel; `scales` is the number of scales.
    """

    kind: str
    scale: float | None
    zero_point: int | None
    scales: int
    axis: int | None


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph; `open_shape` has -1 for the sides that are set when the model is loaded.

    `bits` is the size of one stored value, None where the type has no fixed size. `constant_bytes` is the
    size of the data in the file, 0 for a tensor that is computed. Tensors of one `buffer` share their data.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    open_shape: tuple[int, ...] | None
    dtype: str
    bits: int | None
    quantization: Quantization | None
    constant_bytes: int
    buffer: int


@dataclass(frozen=True)
class Operator:
    """One operator of a subgraph; inputs and outputs are indices of tensors, without absent optional inputs.

    `transposed` is for BATCH_MATMUL: whether the last two sides of the first factor are swapped.
    """

    subgraph: int
    index: int
    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    transposed: bool = False


@dataclass(frozen=True)
class Subgraph:
    """A graph: the first one of a model runs, others are the bodies of loops, conditions or signatures."""

    name: str | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    tensors: tuple[Tensor, ...] = field(repr=False)
    operators: tuple[Operator, ...] = field(repr=False)

    def weights_of(self) -> dict[int, Tensor]:
        """Return the stored tensor for each tensor that is constant or is unpacked from a constant."""
        stored = {tensor.index: tensor for tensor in self.tensors if tensor.constant_bytes}
        for operator in self.operators:
            if operator.name in _UNPACKING and operator.inputs[:1] and operator.inputs[0] in stored:
                stored |= dict.fromkeys(operator.outputs, stored[operator.inputs[0]])
        return stored


@dataclass(frozen=True)
class Signature:
    """An entry point by name; inputs and outputs are (name, index of the tensor)."""

    key: str
    subgraph: int
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Graph:
    """A whole model. `external_end` is where weights behind the flatbuffer end, 0 where there are none."""

    schema_version: int
    description: str | None
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    external_end: int


@dataclass(frozen=True)
class _Code:
    name: str
    version: int
    custom: bool


def read_graph(model: FlatTable) -> Graph:
    """Read the graph from the root table of a model.

    Raises one of edge.flatbuffer.MALFORMED when the tables are damaged or there is no subgraph.
    """
    codes = [_code(table) for table in model.tables(1)]
    buffers = model.tables(4)
    sizes = [buffer.vector_bytes(0) or buffer.scalar(2, UINT64) for buffer in buffers]
    ends = [buffer.scalar(1, UINT64) + buffer.scalar(2, UINT64) for buffer in buffers]
    subgraphs = tuple(_subgraph(number, table, codes, sizes) for number, table in enumerate(model.tables(2)))
    if not subgraphs:
        raise ValueError("no subgraph")
    signatures = tuple(_signature(table, subgraphs) for table in model.tables(7))
    return Graph(
        model.scalar(0, UINT32), model.string(3, _LENIENT), subgraphs, signatures, max(ends, default=0)
    )


def _code(table: FlatTable) -> _Code:
    code = max(table.scalar(0, INT8), table.scalar(3, INT32))  # The old field holds what fits into a byte.
    name = name_of(OPERATIONS, code, "operation")
    custom = name == "CUSTOM"
    if custom:
        name = table.string(1, _LENIENT) or "unnamed custom operation"
    return _Code(name, table.scalar(2, INT32, 1), custom)


def _subgraph(number: int, table: FlatTable, codes: list[_Code], sizes: list[int]) -> Subgraph:
    tensors = tuple(_tensor(index, t, sizes) for index, t in enumerate(table.tables(0)))
    count = len(tensors)
    operators = tuple(_operator(number, i, t, codes, count) for i, t in enumerate(table.tables(3)))
    inputs, outputs = (tuple(_indices(table, which, count)) for which in (1, 2))
    return Subgraph(table.string(4, _LENIENT), inputs, outputs, tensors, operators)


def _tensor(index: int, table: FlatTable, sizes: list[int]) -> Tensor:
    dtype = name_of(TENSOR_TYPES, table.scalar(1, INT8), "type").lower()
    signature = tuple(map(int, table.numbers(7, "<i4")))
    buffer = table.scalar(2, UINT32)
    return Tensor(
        index=index,
        name=table.string(3, _LENIENT) or "",
        shape=tuple(map(int, table.numbers(0, "<i4"))),
        open_shape=signature if -1 in signature else None,
        dtype=dtype,
        bits=_bits(dtype),
        quantization=_quantization(table.table(4)),
        constant_bytes=sizes[buffer],
        buffer=buffer,
    )


def _bits(dtype: str) -> int | None:
    """Return the bits of one value: the names of all types of numbers end with them."""
    digits = dtype[len(dtype.rstrip("0123456789")) :]
    return _BITS.get(dtype, int(digits) if digits and not dtype.startswith("type") else None)


def _quantization(table: FlatTable | None) -> Quantization | None:
    if table is None:
        return None
    if table.scalar(4, UINT8) == _BLOCKWISE:
        return Quantization("blockwise", None, None, 0, table.scalar(6, INT32))
    scales, zero_points = table.numbers(2, "<f4"), table.numbers(3, "<i8")
    if not len(scales):
        return None
    per_channel = len(scales) > 1
    return Quantization(
        "per channel" if per_channel else "per tensor",
        float(scales[0]),
        int(zero_points[0]) if len(zero_points) else 0,
        len(scales),
        table.scalar(6, INT32) if per_channel else None,
    )


def _operator(number: int, index: int, table: FlatTable, codes: list[_Code], tensors: int) -> Operator:
    code = codes[table.scalar(0, UINT32)]
    inputs, outputs = (tuple(_indices(table, which, tensors)) for which in (1, 2))
    options = table.table(4) if code.name == "BATCH_MATMUL" else None
    transposed = bool(options.scalar(0, BOOL)) if options else False
    return Operator(number, index, code.name, code.version, code.custom, inputs, outputs, transposed)


def _indices(table: FlatTable, which: int, tensors: int) -> Iterator[int]:
    """Yield the indices in a field; -1 stands for an optional input that is left out."""
    for value in map(int, table.numbers(which, "<i4")):
        if not -1 <= value < tensors:
            raise IndexError(value)
        if value >= 0:
            yield value


def _signature(table: FlatTable, subgraphs: tuple[Subgraph, ...]) -> Signature:
    subgraph = table.scalar(4, UINT32)
    count = len(subgraphs[subgraph].tensors)
    sides = [
        tuple((entry.string(0, _LENIENT) or "", entry.scalar(1, UINT32)) for entry in table.tables(which))
        for which in (0, 1)
    ]
    for _, tensor in (*sides[0], *sides[1]):
        if tensor >= count:
            raise IndexError(tensor)
    return Signature(table.string(2, _LENIENT) or "", subgraph, sides[0], sides[1])
