"""The contradictions inside a .tflite: card, metadata, labels and checksum against tensors and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...edge.appended import Directory
from ...edge.card import ModelCard
from ...edge.tflite.graph import Tensor
from .metadata import Metadata


@dataclass(frozen=True)
class Facts:
    """The facts to compare: `labels` are the metadata's, `model_sha256` is of the bytes before the zip."""

    size: int
    directory: Directory
    model_sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    external_end: int
    metadata: Metadata | None
    labels: tuple[str, ...] | None
    card: ModelCard | None

    @property
    def checksum(self) -> str | None:
        """Whether the card's checksum holds; None without a checksum."""
        if self.card is None or self.card.sha256 is None:
            return None
        return "holds" if self.card.sha256 == self.model_sha256 else "does not hold"


def find_problems(facts: Facts) -> tuple[str, ...]:
    """Return a sentence for each contradiction."""
    return (*_damage(facts), *_against_card(facts), *_against_metadata(facts))


def _damage(facts: Facts) -> Iterator[str]:
    if facts.checksum == "does not hold" and facts.card is not None:
        yield (
            f"it is damaged: its checksum is {facts.model_sha256[:12]}..., and its card says "
            f"{(facts.card.sha256 or '')[:12]}..."
        )
    if facts.external_end > facts.size:
        yield (
            f"it is cut off: weights reach to byte {facts.external_end:,}, and the file has {facts.size:,} "
            "bytes"
        )


def _against_card(facts: Facts) -> Iterator[str]:
    card = facts.card
    if card is None:
        return
    if len(facts.inputs) != 1 or card.output.index >= len(facts.outputs):
        yield (
            f"its card promises one input and an output of number {card.output.index}, and the model has "
            f"{len(facts.inputs)} and {len(facts.outputs)}"
        )
        return
    given, result = facts.inputs[0], facts.outputs[card.output.index]
    promised = (card.input.shape, card.input.dtype)
    if promised != (given.shape, given.dtype):
        actual = _text(given.shape, given.dtype)
        yield f"its card promises input {_text(*promised)}, and the model takes {actual}"
    if card.output.dtype != result.dtype:
        yield f"its card promises {card.output.dtype} output, and the model gives {result.dtype}"
    if max(2, *result.shape[-1:]) != len(card.output_labels):
        named = len(card.output_labels)
        yield f"its card names {named} labels, and the model's output is {list(result.shape)}"
    quantization = result.quantization
    if quantization and quantization.scale is not None:
        stored = (quantization.scale, quantization.zero_point)
        if stored != (card.output.scale, card.output.zero_point):
            yield (
                f"its card gives the output scale {card.output.scale:g} and zero point "
                f"{card.output.zero_point}, and the model {stored[0]:g} and {stored[1]}"
            )


def _against_metadata(facts: Facts) -> Iterator[str]:
    if facts.metadata is None:
        return
    sides = (
        ("input", facts.metadata.inputs, facts.inputs),
        ("output", facts.metadata.outputs, facts.outputs),
    )
    for name, described, tensors in sides:
        if described and len(described) != len(tensors):
            yield f"its metadata describes {len(described)} {name}s, and the model has {len(tensors)}"
    for file in facts.metadata.all_files:
        if file.name not in facts.directory.names:
            yield f"its metadata names the file {file.name!r} ({file.type}), which is not in it: cut off?"
    if facts.labels is None:
        return
    if facts.outputs and (len(facts.labels),) not in [output.shape[-1:] for output in facts.outputs]:
        shapes = ", ".join(str(list(output.shape)) for output in facts.outputs)
        yield (f"its metadata's label file has {len(facts.labels)} lines, and the model's output is {shapes}")
    # Readers of label files drop spaces around labels.
    if facts.card is not None and tuple(label.strip() for label in facts.card.output_labels) != facts.labels:
        yield "its card and its metadata name different labels"


def _text(shape: tuple[int, ...], dtype: str) -> str:
    return f"{list(shape)} {dtype}"
