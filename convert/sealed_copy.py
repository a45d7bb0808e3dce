"""A copy of a finished .tflite of any origin that carries labels, metadata, card and checksum.

Its graph stays as it is: every operator, tensor and stored value. What its card says of input and output is
settled as the runner settles it for a file without a card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..edge.appended import Directory, read_directory, read_entry
from ..edge.card import FORMAT, FORMAT_BEYOND_CONTRACT, ModelCard, unknown_label
from ..edge.channels import BGR
from ..edge.console import say
from ..edge.durable import make_folders
from ..edge.errors import ConversionError, ModelFileError, OutputExistsError
from ..edge.files import refuse_to_replace, require_writable, write_result
from ..edge.flatbuffer import FlatTable
from ..edge.foreign import ForeignFacts, stated_normalization
from ..edge.image import load_image
from ..edge.labels import check_label_count
from ..edge.meanings import OF_ACTIVATION
from ..edge.modelfile import (
    CARD_NAME,
    LABELS_NAME,
    ModelFile,
    find_labels_name,
    find_metadata,
    mapped,
    tables_of,
)
from ..edge.tflite.metadata import NOTHING_INHERITED, Inherited
from ..edge.tflite.sealing import Golden, seal
from .finished_model import FinishedModel, fed
from .golden import choose_patterns
from .inspection.metadata import read_metadata
from .signatures import ModelSigner, leave_signature_out, signature_record, signed
from .sources.imagenet import is_imagenet
from .sources.model_format import ModelFormat, model_format

# Of the range of an input: mean 127.5 and mean 128 are the same for people, and one level of 8 bits apart.
_SAME_SCALING = 0.01


@dataclass(frozen=True)
class SealedCopy:
    """The file that was written."""

    path: Path
    card: ModelCard
    size_bytes: int
    signer: ModelSigner | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        given, output = self.card.input, self.card.output
        return {
            "file": str(self.path),
            "model": self.card.name,
            "size_bytes": self.size_bytes,
            "labels": self.card.labels,
            "format": self.card.format,
            "color": given.color,
            "mean": given.mean,
            "std": given.std,
            "outputs": OF_ACTIVATION[output.activation].value,
            "output_index": output.index,
            "golden": len(self.card.golden),
            **signature_record(self.signer),
        }


def write_sealed_copy(
    path: Path,
    facts: ForeignFacts,
    resize: str | None,
    output: Path,
    force: bool,
    signer: ModelSigner | None = None,
) -> SealedCopy:
    """Write a copy of a .tflite with labels, metadata, card and golden examples into the folder `output`.

    Of a file that has a card already, only the labels are replaced. A signature of the file is left out, and
    the copy signed where there is a signer. Raises ConversionError for anything but a
    .tflite; ModelFileError for one that the runner does not run, that leaves a fact open which `facts` lacks,
    or whose card says what `facts` do; OptionError without labels; and OutputExistsError.
    """
    _require_tflite(path)
    file = ModelFile.read(path)
    leave_signature_out(path, signer)
    target = output / path.name
    if target.resolve() == path.resolve():
        raise OutputExistsError(f"{path} lies in --output itself, and stays as it is. Name another --output")
    refuse_to_replace(target, force)
    flatbuffer = path.read_bytes()[: file.zip_offset]
    kept = _Kept.read(path)
    if file.card is not None:
        _require_labels_alone(file, facts, resize)
        card, golden = _renamed(file.card, facts.labels or ()), _read_golden(path, file.card)
    else:
        model = FinishedModel.settle(file, facts)
        for remark in (*_remarks(file, facts, model), *kept.remarks()):
            say(f"{path}: {remark}")
        card = model.card(resize)
        golden = _choose_golden(flatbuffer, card, model) if model.runs else []
    sealed = signed(seal(flatbuffer, card, golden, kept.inherited, kept.files), str(path), signer)
    make_folders(output)
    require_writable(target)
    write_result(target, sealed, replace=force)
    written = ModelFile.read(target).card
    assert written is not None
    return SealedCopy(target, written, len(sealed), signer)


def _require_tflite(path: Path) -> None:
    if path.is_dir():
        raise ConversionError(
            f"--seal is for .tflite files, and {path} is a folder. Convert it without --seal"
        )
    if is_imagenet(path):
        raise ConversionError(
            f"--seal is for .tflite files, and {path} names a network. Convert it without --seal"
        )
    if not path.exists():
        raise ConversionError(f"{path}: no such file. --seal is for .tflite files")
    if model_format(path) is not ModelFormat.TFLITE:
        raise ConversionError(
            f"--seal is for .tflite files, and {path} is none. Convert it without --seal: what is made of it "
            "carries labels and metadata"
        )


def _require_labels_alone(file: ModelFile, facts: ForeignFacts, resize: str | None) -> None:
    """Raise ModelFileError unless new labels, as many as the old ones, are all that is said of a file."""
    others = [option for option in facts.options if option != "--labels"]
    others += ["--resize"] if resize is not None else []
    if others:
        raise ModelFileError(
            f"{file.name} carries its own labels and preprocessing: {', '.join(others)} "
            f"{'is' if len(others) == 1 else 'are'} for models that carry none"
        )
    assert file.card is not None
    if facts.labels is None:
        raise ModelFileError(
            f"{file.name} carries a card already, and there is nothing to add to it. Give --labels to rename "
            "its classes"
        )
    check_label_count(facts.labels, len(file.card.labels), f"--labels for {file.name}")


def _renamed(card: ModelCard, labels: tuple[str, ...]) -> ModelCard:
    """Return a finished file's card with other names for its classes, in the same order."""
    conversion = card.conversion
    if conversion is not None and conversion.calibration is not None:
        names = dict(zip(card.labels, labels, strict=True))
        counts = {names.get(name, name): count for name, count in conversion.calibration.per_class.items()}
        calibration = replace(conversion.calibration, per_class=counts)
        conversion = replace(conversion, calibration=calibration)
    newest = FORMAT if card.keeps_contract else FORMAT_BEYOND_CONTRACT
    output, unknown = card.output, card.output.unknown
    if unknown is not None:  # A class may have got its name.
        output = replace(output, unknown=replace(unknown, label=unknown_label(labels)))
    return replace(card, labels=labels, output=output, conversion=conversion, format=newest)


def _read_golden(path: Path, card: ModelCard) -> list[Golden]:
    """Return the golden examples of a finished file."""
    return [
        Golden(
            np.asarray(load_image(read_entry(path, example.image))),
            np.array(example.expected, np.float32),
            example.tolerance,
            example.kind,
            example.unknown,
        )
        for example in card.golden
    ]


def _choose_golden(flatbuffer: bytes, card: ModelCard, model: FinishedModel) -> list[Golden]:
    choice = choose_patterns(seal(flatbuffer, card), model.tolerance)
    if choice.hidden:
        say(f"{model.path}: {choice.describe_hidden()}")
    return choice.examples


def _remarks(file: ModelFile, facts: ForeignFacts, model: FinishedModel) -> Iterator[str]:
    """Yield what the user should know: what is replaced, what was not tried, what other readers lack."""
    stated = stated_normalization(file, model.color)
    if stated is not None:
        used, said = fed(model.given, model.normalization), fed(model.given, stated)
        if np.abs(used - said).max() > _SAME_SCALING * np.ptp(used):
            how = model.normalization.to_text() if model.normalization else "pixels as they are"
            yield (
                f"its metadata says normalization {stated.to_text()}, and edge-classify feeds {how}, as the "
                "copy says"
            )
    if facts.labels is not None and file.labels is not None and facts.labels != file.labels:
        yield f"its metadata names other labels ({file.labels[0]!r}, ...): those of --labels replace them"
    if not model.runs:
        reason = file.statement(model.result.number).reason
        yield (
            f"the runtime here lacks its operation {', '.join(model.custom)}. So it gets no golden examples, "
            f"and that its outputs are {model.meaning.value} is not tried: "
            + ("--outputs says so" if facts.outputs else reason)
        )
    if int(np.prod(model.result.shape)) == 1:
        yield (
            "it has one output value for two classes: edge-classify names both; other readers of the "
            "metadata want a label for each value, and get none"
        )
    if model.given.dtype == "uint8" and model.normalization is not None:
        yield (
            "MediaPipe and Task Library feed pixels as they are to 8-bit inputs, and this one takes "
            f"{model.normalization.to_text()}: there its answers are wrong"
        )
    if model.color == BGR:
        yield "TFLite's metadata has no word for BGR: its colour space is left unknown there"


@dataclass(frozen=True)
class _Kept:
    """What stays of a file's metadata and appended files; `dropped` are steps that no card describes."""

    inherited: Inherited
    files: tuple[tuple[str, bytes], ...]
    dropped: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> _Kept:
        """Read a file whose zip was checked."""
        directory = read_directory(path)
        with mapped(path) as data, tables_of(path):
            metadata = find_metadata(FlatTable.root(data))
            if metadata is None:
                return cls(NOTHING_INHERITED, _files(directory, LABELS_NAME), ())
            files = _files(directory, find_labels_name(metadata))
            found = read_metadata(metadata)
            units = [
                unit.kind
                for side in (found.inputs, found.outputs)
                for one in side
                for unit in one.process_units
            ]
            dropped = tuple(dict.fromkeys(kind for kind in units if kind != "normalization"))
            return cls(Inherited.read(metadata, [name for name, _ in files]), files, dropped)

    def remarks(self) -> Iterator[str]:
        """Yield what is said of it."""
        if self.files:
            names = ", ".join(repr(name) for name, _ in self.files)
            yield f"what else is appended to it stays: {names}"
        if self.dropped:
            dropped = ", ".join(self.dropped)
            yield f"steps of its metadata that edge-classify does not take are left out: {dropped}"


def _files(directory: Directory, labels_name: str | None) -> tuple[tuple[str, bytes], ...]:
    """Return the appended files but for those that sealing writes, and the labels."""
    written = re.compile(rf"{re.escape(LABELS_NAME)}|{re.escape(CARD_NAME)}|golden_\d+\.png")
    return tuple(
        (name, directory.read(name))
        for name in directory.names
        if name != labels_name and not written.fullmatch(name)
    )
