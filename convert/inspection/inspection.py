"""The contents of any .tflite, for edge-convert --inspect, without TensorFlow.

A fact that the file does not state is None or empty, never guessed. Contradictions are in `problems`.
"""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass
from pathlib import Path

from ...benchmarks.operations.xnnpack import Delegation, find_delegation
from ...edge.appended import AppendedFile, Directory, read_directory
from ...edge.card import ModelCard
from ...edge.errors import MissingPackageError, ModelFileError, SignatureError
from ...edge.flatbuffer import FlatTable
from ...edge.labels import parse_labels
from ...edge.meanings import Statement
from ...edge.modelfile import (
    MAX_TEXT_BYTES,
    find_labels_name,
    find_metadata,
    mapped,
    read_card,
    tables_of,
)
from ...edge.output_meaning import meanings_of_tflite
from ...edge.signature import ModelSignature, find_signature
from ...edge.tensors import TensorSpec, check_shapes
from ...edge.tflite.graph import Graph, Signature, Subgraph, Tensor, read_graph
from ...edge.trusted_keys import fingerprint
from .metadata import Metadata, read_metadata
from .operators import (
    InspectedOperator,
    Operation,
    StoredValues,
    group_by_kind,
    group_by_type,
    look_at_operators,
)
from .problems import Facts, find_problems
from .user_paths import find_user_paths


@dataclass(frozen=True)
class Inspection:
    """Everything about one file; sizes in bytes.

    `model_bytes` is the size of the part before the appended zip. `not_a_classifier` says why the runner
    would refuse the shapes, None where it would not. `checksum` is "holds", "does not hold", or None where
    the file has none. `signature` is the file's, and `signed` whether it holds: "holds", "does not hold",
    "not checked" where cryptography is missing, or None where there is none. `user_paths` are the beginnings
    of paths in the model that name a user. `problems` are sentences, and `meanings` what the file states
    about its outputs, at most 64 of them.
    """

    path: Path
    size_bytes: int
    sha256: str
    model_bytes: int
    graph: Graph
    operators: tuple[InspectedOperator, ...]
    delegation: Delegation
    metadata: Metadata | None
    labels: tuple[str, ...] | None
    card: ModelCard | None
    appended: tuple[AppendedFile, ...]
    checksum: str | None
    signature: ModelSignature | None
    signed: str | None
    not_a_classifier: str | None
    user_paths: tuple[str, ...]
    problems: tuple[str, ...]
    meanings: tuple[Statement, ...]

    @property
    def main(self) -> Subgraph:
        """The subgraph that runs."""
        return self.graph.subgraphs[0]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The model's inputs."""
        return tuple(self.main.tensors[index] for index in self.main.inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The model's outputs."""
        return tuple(self.main.tensors[index] for index in self.main.outputs)

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """The entry points by name."""
        return self.graph.signatures

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the main graph, without those of `uncounted` operations."""
        return sum(item.macs or 0 for item in self.operators if item.operator.subgraph == 0)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Names of the operations whose multiply-accumulates are not known."""
        names = [item.operator.name for item in self.operators if item.macs is None]
        return tuple(dict.fromkeys(names))

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Operators by kind and version, the kind with the most weights first."""
        return group_by_kind(self.operators)

    @property
    def stored(self) -> tuple[StoredValues, ...]:
        """Constants by type, the largest first."""
        return group_by_type(self.graph)


def inspect(path: Path) -> Inspection:
    """Read a .tflite, and ask the runtime of this machine which operators XNNPACK takes.

    Raises ModelFileError when it is no TFLite model or its tables are damaged, and MissingPackageError. A
    hostile zip, a broken card and contradictions are `problems` of the result.
    """
    with mapped(path) as data:
        faults: list[str] = []
        directory = _directory(path, len(data), faults)
        signature = _signature(path, data, faults)
        with memoryview(data) as view, view[: directory.start] as model, view[directory.start :] as rest:
            hashed = hashlib.sha256(model)
            model_sha256 = hashed.hexdigest()
            hashed.update(rest)
            user_paths = find_user_paths(model)
        with tables_of(path):
            root = FlatTable.root(data)
            table = find_metadata(root)
            metadata = read_metadata(table) if table else None
            labels_name = find_labels_name(table) if table else None
            graph = read_graph(root)
            meanings = meanings_of_tflite(root, table)
        size = len(data)
    # Nothing is read out of a zip that the runner would refuse.
    card = None if faults else _read_card(directory, faults)
    labels = None if faults or labels_name is None else _read_labels(directory, labels_name, faults)
    signed = _is_signed(signature, faults)
    delegation = find_delegation(path, graph.subgraphs[0])
    main = graph.subgraphs[0]
    facts = Facts(
        size,
        directory,
        model_sha256,
        tuple(main.tensors[index] for index in main.inputs),
        tuple(main.tensors[index] for index in main.outputs),
        graph.external_end,
        metadata,
        labels,
        card,
    )
    return Inspection(
        path=path,
        size_bytes=size,
        sha256=hashed.hexdigest(),
        model_bytes=directory.start,
        graph=graph,
        operators=look_at_operators(graph, delegation),
        delegation=delegation,
        metadata=metadata,
        labels=card.labels if card else labels,
        card=card,
        meanings=meanings,
        appended=directory.files,
        checksum=facts.checksum,
        signature=signature,
        signed=signed,
        not_a_classifier=_why_no_classifier(path, facts),
        user_paths=user_paths,
        problems=(*faults, *find_problems(facts)),
    )


def _signature(path: Path, data: bytes | mmap.mmap, faults: list[str]) -> ModelSignature | None:
    """Return the signature, unchecked; one that cannot be read is added to `faults`."""
    try:
        return find_signature(data, str(path))
    except SignatureError as error:
        faults.append(_without_name(error, str(path)))
        return None


def _is_signed(signature: ModelSignature | None, faults: list[str]) -> str | None:
    """Return the state of a signature; one that does not hold is added to `faults`."""
    if signature is None:
        return None
    try:
        holds = signature.holds()
    except MissingPackageError:
        return "not checked"
    if not holds:
        faults.append(f"it was changed or damaged after {fingerprint(signature.key)} signed it")
    return "holds" if holds else "does not hold"


def _directory(path: Path, size: int, faults: list[str]) -> Directory:
    """Return the directory of the appended zip; its faults are added to `faults`."""
    directory = Directory(path, str(path), (), size, size)
    try:
        directory = read_directory(path)
        directory.check()
    except ModelFileError as error:
        faults.append(_without_name(error, str(path)))
    return directory


def _read_card(directory: Directory, faults: list[str]) -> ModelCard | None:
    try:
        return read_card(directory)
    except ModelFileError as error:
        faults.append(_without_name(error, directory.name))
        return None


def _read_labels(directory: Directory, name: str, faults: list[str]) -> tuple[str, ...] | None:
    if name not in directory.names:
        return None
    try:
        return parse_labels(directory.read(name, MAX_TEXT_BYTES), name)
    except ModelFileError as error:
        faults.append(_without_name(error, directory.name))
        return None


def _without_name(error: ModelFileError, name: str) -> str:
    return str(error).removeprefix(f"{name}: ")


def _why_no_classifier(path: Path, facts: Facts) -> str | None:
    index = facts.card.output.index if facts.card else 0
    if len(facts.inputs) != 1 or (
        len(facts.outputs) != 1 if facts.card is None else index >= len(facts.outputs)
    ):
        counts = f"{len(facts.inputs)} inputs and {len(facts.outputs)} outputs"
        return f"it has {counts}, and a classifier has one of each"
    try:
        check_shapes(str(path), _spec(facts.inputs[0]), _spec(facts.outputs[index]))
    except ModelFileError as error:
        return (
            _without_name(error, str(path))
            .removeprefix(f"{path} ")
            .removeprefix("is not an image classifier: ")
        )
    return None


def _spec(tensor: Tensor) -> TensorSpec:
    sides = (tensor.open_shape or tensor.shape)[1:]
    scale = (tensor.quantization.scale if tensor.quantization else None) or 0.0
    return TensorSpec(tensor.index, tensor.shape, tensor.dtype, scale, 0, resizable=min(sides, default=1) < 0)
