"""How an inspection is shown: a summary and tables for people, one JSON object for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ...edge.card import ModelCard
from ...edge.channels import RGB
from ...edge.console import print_json, print_sentence
from ...edge.meanings import Statement
from ...edge.printable import one_line
from ...edge.tables import TableColumn, print_table
from ...edge.tflite.graph import Quantization, Tensor
from ...edge.trusted_keys import fingerprint
from .inspection import Inspection, inspect
from .metadata import TensorMetadata
from .operators import InspectedOperator
from .record import to_record
from .travels import travels

# Limits of the text for people; --json prints everything.
_NAME_WIDTH = 32
_CELL_WIDTH = 48
_LINE_WIDTH = 500
_MAX_ROWS = 1000
_LABELS_SHOWN = 8
_CHECKSUMS = {
    "holds": "holds: the model is not damaged, whoever made it",
    "does not hold": "does not hold",
    None: "none: the file has nothing to compare with",
}


def run_inspection(path: Path, as_json: bool) -> None:
    """Print the contents of a .tflite, for people or, with `as_json`, as one JSON object (see to_record).

    Raises ModelFileError when it cannot be read, and, after printing, click's Exit with status 1 when it
    contradicts itself.
    """
    found = inspect(path)
    if as_json:
        print_json(to_record(found))
    else:
        _print(found)
    if found.problems:
        raise click.exceptions.Exit(1)


def _print(found: Inspection) -> None:
    _print_line(f"{found.path}: {headline(found)}")
    for problem in found.problems:
        _print_line(f"  PROBLEM     {problem}")
    for name, text in summary(found):
        _print_line(f"  {name:<11} {text}")
    print_sentence("Travels inside:")
    for sentence in travels(found):
        _print_line(f"  - {sentence}", hanging=4)
    print_sentence("")
    _print_kinds(found)
    _print_operators(found)


def _print_kinds(found: Inspection) -> None:
    kinds = [
        (
            item.name,
            str(item.version),
            str(item.count),
            f"{item.weight_bytes:,}",
            f"{item.weight_share:.1%}",
            _millions(item.macs),
            "?" if item.xnnpack is None else f"{item.xnnpack} of {item.count}",
        )
        for item in found.operations
    ]
    columns = (
        "operation",
        "version",
        "count",
        "weights\n(bytes)",
        "share",
        "million\nMACs",
        "XNNPACK\ntakes",
    )
    _print_rows("Operations", columns, kinds)
    stored = [(item.dtype, str(item.tensors), f"{item.bytes:,}") for item in found.stored]
    _print_rows("Constants in the file", ("type", "tensors", "bytes"), stored)


def _print_operators(found: Inspection) -> None:
    several = len(found.graph.subgraphs) > 1
    words = [TableColumn(name, words=True) for name in ("operation", "output", "shape", "type", "weights")]
    columns: list[str | TableColumn] = ["#", *words, "million\nMACs", "XNNPACK"]
    rows = [_operator_row(item, several) for item in found.operators[: _MAX_ROWS + 1]]
    _print_rows("Operators", columns, rows)


def _print_line(text: str, hanging: int = 14) -> None:
    print_sentence(_one_line(text, _LINE_WIDTH), hanging=" " * hanging)


def _print_rows(title: str, columns: Sequence[str | TableColumn], rows: Sequence[tuple[str, ...]]) -> None:
    shown = [tuple(_one_line(cell, _CELL_WIDTH) for cell in row) for row in rows[:_MAX_ROWS]]
    print_table(title, columns, shown)
    if len(rows) > _MAX_ROWS:
        print_sentence(f"Only the first {_MAX_ROWS:,} are shown; --json has all.")


def _operator_row(item: InspectedOperator, several: bool) -> tuple[str, ...]:
    operator, output = item.operator, item.output
    return (
        f"{operator.subgraph}:{operator.index}" if several else str(operator.index),
        operator.name,
        _shortened(output.name) if output else "none",
        "x".join(map(str, output.shape)) if output else "",
        _type(output) if output else "",
        _type(item.weights) if item.weights else "",
        _millions(item.macs),
        {True: "yes", False: "no", None: "?"}[item.xnnpack],
    )


def _type(tensor: Tensor) -> str:
    return (
        f"{tensor.dtype} {describe_quantization(tensor.quantization)}"
        if tensor.quantization
        else tensor.dtype
    )


def _millions(macs: int | None) -> str:
    if macs is None:
        return "?"
    return f"{macs / 1e6:,.3f}" if macs else ""


def _shortened(name: str) -> str:
    """Return the end of a long name, where converters put the part that differs between layers."""
    return name if len(name) <= _NAME_WIDTH else f"...{name[3 - _NAME_WIDTH :]}"


def _one_line(text: str, width: int) -> str:
    """Return the beginning of a text from a file, safe for a terminal."""
    text = text if len(text) <= width else f"{text[: width - 3]}..."
    return one_line(text)


def headline(found: Inspection) -> str:
    """Describe the file in a few words."""
    if found.not_a_classifier:
        return f"a model that edge-classify does not take: {found.not_a_classifier}"
    classes = len(found.card.labels) if found.card else found.outputs[0].shape[-1]
    kind = f"the {found.card.conversion.variant} variant of " if found.card and found.card.conversion else ""
    name = found.card.name if found.card else "an image classifier"
    return f"{kind}{name}, {classes:,} classes"


def summary(found: Inspection) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for each line of the summary, also for things that the file lacks."""
    yield "file", f"{found.size_bytes:,} bytes, sha256 {found.sha256}"
    yield "checksum", _CHECKSUMS[found.checksum]
    yield "signature", _describe_signature(found)
    description = found.graph.description
    graphs = len(found.graph.subgraphs)
    yield (
        "model",
        f"schema version {found.graph.schema_version}, {graphs} subgraph{'s' * (graphs > 1)}, "
        f"{len(found.main.operators):,} operators, {len(found.main.tensors):,} tensors, "
        + (f"described as {description!r}" if description else "no description"),
    )
    yield "signatures", ", ".join(signature.key for signature in found.signatures) or "none"
    for side, tensors in (("input", found.inputs), ("output", found.outputs)):
        for tensor in tensors:
            yield side, _describe_tensor(tensor)
    for stated in found.meanings:
        yield "meaning", _describe_meaning(stated)
    yield "arithmetic", _arithmetic(found)
    yield "XNNPACK", _xnnpack(found)
    custom = Counter(item.operator.name for item in found.operators if item.operator.custom)
    if custom:
        yield "custom", f"operations that are none of TFLite's own: {_counts(custom)}"
    yield from _metadata(found)
    yield "labels", _labels(found.labels)
    yield from _card(found.card)
    files = ", ".join(f"{file.name!r} {file.size:,} bytes" for file in found.appended)
    yield "appended", files or "no files"


def _describe_signature(found: Inspection) -> str:
    signature = found.signature
    if signature is None:
        return "none: nothing shows who made the file"
    signer = f"{fingerprint(signature.key)}, {signature.of_version}"
    if found.signed == "holds":
        return (
            f"holds: every byte is as {signer}, signed it; whose key that is, and whether the model is good, "
            "it does not show"
        )
    reason = (
        "not checked, for want of the package cryptography" if found.signed == "not checked" else found.signed
    )
    return f"{reason}: the file says {signer}"


def _describe_meaning(stated: Statement) -> str:
    if stated.meaning is None:
        return f"of the outputs: not known, because {stated.reason}"
    checked = "" if stated.exact else "; the values for the first picture must agree"
    return f"of the outputs: {stated.meaning.value}, because {stated.reason}{checked}"


def _describe_tensor(tensor: Tensor) -> str:
    quantization = tensor.quantization
    stored = f", {describe_quantization(quantization)}" if quantization else ", not quantized"
    if quantization and quantization.scale is not None:
        stored += f", scale {quantization.scale:g}, zero point {quantization.zero_point}"
    return f"{tensor.name!r}, {tensor.dtype} {list(tensor.open_shape or tensor.shape)}{stored}"


def _arithmetic(found: Inspection) -> str:
    text = f"{found.macs:,} multiply-accumulates for one run"
    if found.uncounted:
        text += f", without those of {', '.join(found.uncounted)}, which are not known"
    if any(tensor.open_shape for tensor in found.inputs):
        text += ", with each open side of the input as 1"
    return text


def _xnnpack(found: Inspection) -> str:
    delegation = found.delegation
    if delegation.taken is None:
        return f"unknown what it takes: {delegation.reason}"
    operators = found.main.operators
    taken = set(delegation.taken)
    left = Counter(operator.name for operator in operators if operator.index not in taken)
    text = f"takes {len(taken)} of {len(operators)} operators on this machine"
    if delegation.groups:
        text += f", in {delegation.groups} group{'s' * (delegation.groups > 1)}"
    return f"{text} ({delegation.runtime})" + (f"; not {_counts(left)}" if left else "")


def _metadata(found: Inspection) -> Iterator[tuple[str, str]]:
    metadata = found.metadata
    if metadata is None:
        yield "metadata", "none"
        return
    named = {"description": metadata.description, "version": metadata.version, "author": metadata.author,
             "license": metadata.license, "needs parser": metadata.min_parser_version}  # fmt: skip
    said = [f"{key} {value!r}" for key, value in named.items() if value]
    yield "metadata", ", ".join([repr(metadata.name) if metadata.name else "no name", *said])
    for side, tensors in (("  input", metadata.inputs), ("  output", metadata.outputs)):
        for tensor in tensors:
            yield side, _describe_metadata(tensor)


def _describe_metadata(tensor: TensorMetadata) -> str:
    parts = [repr(tensor.name) if tensor.name else "no name"]
    if tensor.description:
        parts.append(repr(tensor.description))
    if tensor.content:
        parts.append(tensor.content)
    for unit in tensor.process_units:
        parts.append(
            f"{unit.kind} mean {_floats(unit.mean)} std {_floats(unit.std)}" if unit.mean else unit.kind
        )
    if tensor.minimum or tensor.maximum:
        parts.append(f"values {_floats(tensor.minimum)} to {_floats(tensor.maximum)}")
    parts += [f"{file.type} in {file.name!r}" for file in tensor.files]
    return ", ".join(parts)


def _labels(labels: tuple[str, ...] | None) -> str:
    if labels is None:
        return "none"
    shown = ", ".join(labels[:_LABELS_SHOWN])
    return f"{len(labels):,}: {shown}{', ...' if len(labels) > _LABELS_SHOWN else ''}"


def _card(card: ModelCard | None) -> Iterator[tuple[str, str]]:
    if card is None:
        yield "card", "none"
        return
    threshold = (
        "no threshold" if card.output.threshold is None else f"unsure below {card.output.threshold:.1%}"
    )
    yield (
        "card",
        f"format {card.format}, {card.preprocess.resize} to {card.input.height}x{card.input.width}, "
        f"temperature {card.output.temperature:g}, {threshold}{_exchange(card)}{_beyond_contract(card)}",
    )
    if (unknown := card.output.unknown) is not None:
        yield (
            "unknown",
            f"the last output, {unknown.label!r}, for what is none of the {len(card.labels)} classes; it "
            f"costs at most {unknown.lost_at_most:.1%} of right answers (95 %, by {unknown.images:,} images)",
        )
    if (accuracy := card.accuracy) is not None:
        low, high = accuracy.top1_ci95
        yield (
            "accuracy",
            f"top-1 {accuracy.top1:.2%} (95 % interval {low:.1%} to {high:.1%}) on {accuracy.images:,} "
            f"images of {accuracy.dataset}",
        )
    examples = [
        f"{example.image} ({card.labels[example.expected.index(max(example.expected))]}, "
        f"{example.kind}, tolerance {example.tolerance:g})"
        for example in card.golden
    ]
    yield "golden", ", ".join(examples) or "no examples"


def _exchange(card: ModelCard) -> str:
    """Return what is said of a model that was trained on another order of the colours."""
    trained = card.input.trained_color
    if trained in (RGB, card.input.color):
        return ""
    return f", trained on {trained}: the graph exchanges the colours"


def _beyond_contract(card: ModelCard) -> str:
    """Return what is said of a model that takes no raw RGB pixels, or gives no probabilities."""
    given, output = card.input, card.output
    parts = []
    if (given.color, given.layout) != (RGB, "NHWC"):
        parts.append(f"takes {given.color} as {given.layout}")
    if given.mean:
        parts.append(f"pixels scaled by mean {_floats(given.mean)} std {_floats(given.std)}")
    if (output.index, output.activation) != (0, "softmax"):
        parts.append(f"classes in output {output.index}, activation {output.activation}")
    return "".join(f", {part}" for part in parts)


def describe_quantization(quantization: Quantization) -> str:
    """Return the kind of a quantization, and the number of scales of a per-channel one."""
    channels = f" ({quantization.scales})" if quantization.kind == "per channel" else ""
    return f"{quantization.kind}{channels}"


def _floats(values: tuple[float, ...]) -> str:
    """Return the values, or only one where all are equal."""
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{value:g}" for value in values) or "?"


def _counts(names: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in names.most_common())
