"""An inspection as one JSON object."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from ...edge.tflite.graph import Signature, Tensor
from ...edge.trusted_keys import fingerprint, to_line
from .inspection import Inspection
from .operators import InspectedOperator
from .travels import travels


def to_record(found: Inspection) -> dict[str, Any]:
    """Return the object that --json prints; sizes in bytes, null for facts that are not stated or not known.

    file, size_bytes, sha256 (of the whole file), model_bytes (before the appended zip), checksum ("holds",
    "does not hold", null), signed (null, or {state ("holds", "does not hold", "not checked" without
    cryptography), by (fingerprint), public_key (as OpenSSH writes it), version}), problems
    (sentences), not_a_classifier (why, or null), schema_version, description, macs, uncounted (operations
    whose MACs are not known)
    inputs, outputs: each {index, name, shape, open_shape, dtype, bits, quantization: {kind, scale,
    zero_point, scales, axis} or null, constant_bytes, buffer}
    meanings: of each output {meaning ("probabilities", "logits", "sigmoids", null), exact, reason}
    signatures: {key, subgraph, inputs, outputs: {name: index of the tensor}}
    subgraphs: {name, tensors, operators}, the last two are counts
    operations: {name, version, custom, count, weight_bytes, weight_share (0..1), macs, xnnpack (count)}
    operators: {subgraph, index, name, version, custom, inputs, outputs (indices of tensors), output, weights
    (tensors as above, or null), weight_bytes, macs, xnnpack (true, false, null)}
    stored: {dtype, tensors, bytes}
    xnnpack: {runtime, taken (indices of operators of subgraph 0), groups, reason (why not known)}
    metadata: {name, description, version, author, license, min_parser_version, files, inputs and outputs:
    {name, description, content, process_units: {kind, mean, std}, minimum, maximum, files}}, where files are
    {name, type, locale}
    labels, card (as in card.json), appended: {name, size, packed_size, offset, compression, encrypted}
    travels: sentences on what of its maker's is in the file; user_paths: beginnings of paths that name a user

    NaN and infinities, which JSON lacks, are null.
    """
    record: dict[str, Any] = {
        "file": str(found.path),
        "size_bytes": found.size_bytes,
        "sha256": found.sha256,
        "model_bytes": found.model_bytes,
        "checksum": found.checksum,
        "signed": _signed(found),
        "problems": found.problems,
        "not_a_classifier": found.not_a_classifier,
        "schema_version": found.graph.schema_version,
        "description": found.graph.description,
        "macs": found.macs,
        "uncounted": found.uncounted,
        "inputs": [asdict(tensor) for tensor in found.inputs],
        "outputs": [asdict(tensor) for tensor in found.outputs],
        "meanings": [
            {**asdict(stated), "meaning": stated.meaning.value if stated.meaning else None}
            for stated in found.meanings
        ],
        "signatures": [_signature(signature) for signature in found.signatures],
        "subgraphs": [
            {"name": graph.name, "tensors": len(graph.tensors), "operators": len(graph.operators)}
            for graph in found.graph.subgraphs
        ],
        "operations": [asdict(item) for item in found.operations],
        "operators": [_operator(item) for item in found.operators],
        "stored": [asdict(item) for item in found.stored],
        "xnnpack": asdict(found.delegation),
        "metadata": asdict(found.metadata) if found.metadata else None,
        "labels": found.labels,
        "card": asdict(found.card) if found.card else None,
        "appended": [file._asdict() for file in found.appended],
        "travels": travels(found),
        "user_paths": found.user_paths,
    }
    return {key: _finite(value) for key, value in record.items()}


def _signed(found: Inspection) -> dict[str, Any] | None:
    signature = found.signature
    if signature is None:
        return None
    return {
        "state": found.signed,
        "by": fingerprint(signature.key),
        "public_key": to_line(signature.key),
        "version": signature.version,
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "key": signature.key,
        "subgraph": signature.subgraph,
        "inputs": dict(signature.inputs),
        "outputs": dict(signature.outputs),
    }


def _operator(item: InspectedOperator) -> dict[str, Any]:
    operator = item.operator
    return {
        "subgraph": operator.subgraph,
        "index": operator.index,
        "name": operator.name,
        "version": operator.version,
        "custom": operator.custom,
        "inputs": operator.inputs,
        "outputs": operator.outputs,
        "output": _tensor(item.output),
        "weights": _tensor(item.weights),
        "weight_bytes": item.weight_bytes,
        "macs": item.macs,
        "xnnpack": item.xnnpack,
    }


def _tensor(tensor: Tensor | None) -> dict[str, Any] | None:
    return asdict(tensor) if tensor else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
