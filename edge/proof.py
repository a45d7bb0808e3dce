"""Checks on the device that a model file is whole, and that the runtime here gives the right answers.

The file carries the evidence: the card's checksum, the appended files' CRCs, golden examples, which are
pictures at the input's size with the probabilities that the file gave for them when it was made, and perhaps
a signature. The first three show damage, and only the signature shows who made the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .appended import Directory, check_entries, read_directory
from .card import GoldenExample, ModelCard
from .classifier import Classifier
from .errors import CardError, ImageError, LabelError, MissingPackageError, ModelFileError, SignatureError
from .modelfile import ModelFile
from .runtime import find_runtime
from .signature import find_signature
from .trusted_keys import TrustedKeys, fingerprint, read_whole

OK, FAILED, UNCHECKED = "ok", "failed", "not checked"


@dataclass(frozen=True)
class Check:
    """One check and its outcome: `status` is "ok", "failed" or "not checked".

    For a golden example that was run, `difference` is the largest difference of a probability, 0..1,
    `tolerance` the difference that the card allows, and `same_top1` whether the most probable class is the
    recorded one.
    """

    name: str
    status: str
    detail: str
    difference: float | None = None
    tolerance: float | None = None
    same_top1: bool | None = None


@dataclass(frozen=True)
class SelfCheck:
    """The outcome for one file; `runtime` is the package's name and version."""

    path: Path
    runtime: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was checked, and holds."""
        return all(check.status == OK for check in self.checks)

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints: file, passed, runtime, checks (the fields of Check)."""
        checks = [asdict(check) for check in self.checks]
        return {"file": str(self.path), "passed": self.passed, "runtime": self.runtime, "checks": checks}


def self_check(path: str | Path, keys: TrustedKeys | None = None) -> SelfCheck:
    """Check a .tflite file that edge-convert made, on this machine.

    With `keys` one of them must have signed it. The file is read once, and the signature checked before
    anything else. A check is "not checked" where an earlier check failed that it needs. Raises ModelFileError
    when there is no such file, and MissingPackageError when there is no runtime.
    """
    path = Path(path)
    data = read_whole(path)
    runtime = find_runtime()
    return SelfCheck(path, f"{runtime.name} {runtime.version}", tuple(_checks(data, str(path), keys)))


def _checks(data: bytes, name: str, keys: TrustedKeys | None) -> Iterator[Check]:
    signed = _signature(data, name, keys)
    if signed is not None:
        yield signed
        if signed.status == FAILED:
            yield Check("the rest", UNCHECKED, "nobody vouches for the file as it is")
            return
    try:
        file = ModelFile.read(data, name)
    except ModelFileError as error:
        yield Check("checksum", FAILED, without_name(error, name))
        yield Check("the rest", UNCHECKED, "the file is damaged")
        return
    card = file.card
    if card is None or card.sha256 is None:
        reason = "no card gives one: the file was not made by edge-convert, or it is cut off"
        yield Check("checksum", UNCHECKED, reason)
    else:
        shown = f"{card.sha256[:12]}... of {file.zip_offset:,} bytes, as the card says"
        yield Check("checksum", OK, f"{shown}: not damaged, whoever made it")
    yield _appended(file)
    if card is None:
        yield Check("card", UNCHECKED, "there is none")
        yield Check("golden examples", UNCHECKED, "there are none")
        return
    try:
        classifier = Classifier(file)
        _compare_quantization(classifier, card)
    except (CardError, LabelError) as error:
        yield Check("card", FAILED, without_name(error, name))
        yield Check("golden examples", UNCHECKED, "the card and the model contradict each other")
        return
    except ModelFileError as error:
        yield Check("loading", FAILED, without_name(error, name))
        yield Check("golden examples", UNCHECKED, "the model cannot be loaded")
        return
    yield Check("card", OK, f"its input, output and {len(card.labels)} labels are the model's")
    if not card.golden:
        yield Check("golden examples", UNCHECKED, "there are none")
    for example in card.golden:
        yield _golden(classifier, example)


def _signature(data: bytes, name: str, keys: TrustedKeys | None) -> Check | None:
    """Return the check of the signature; None where there is none, and none is asked for."""
    try:
        if keys is not None:
            signature, key = keys.signer(data, name)
            detail = (
                f"made by {key.describe()}, {signature.of_version}; that does not make the model a good one"
            )
            return Check("signature", OK, detail)
        found = find_signature(data, name)
        if found is None:
            return None
        signer = fingerprint(found.key)
        if not found.holds():
            return Check("signature", FAILED, f"changed or damaged after {signer} signed it")
    except SignatureError as error:
        return Check("signature", FAILED, without_name(error, name))
    except MissingPackageError as error:
        return Check("signature", UNCHECKED, str(error))
    return Check(
        "signature",
        OK,
        f"every byte is as {signer} signed it, {found.of_version}; whether you trust that key, "
        "--require-signature KEYS tells",
    )


def _appended(file: ModelFile) -> Check:
    try:
        directory = check_entries(file.model, file.name)
    except ModelFileError as error:
        return Check("appended files", FAILED, without_name(error, file.name))
    if not directory.files:
        return Check("appended files", UNCHECKED, "there are none")
    return Check("appended files", OK, f"all {len(directory.files)} have the CRC that their directory says")


def _compare_quantization(classifier: Classifier, card: ModelCard) -> None:
    """Raise CardError unless the output is quantized as the card says; the rest was compared on loading."""
    actual = (classifier.output.scale, classifier.output.zero_point)
    if actual[0] > 0 and actual != (card.output.scale, card.output.zero_point):
        raise CardError(
            f"the card gives the output scale {card.output.scale:g} and zero point {card.output.zero_point}, "
            f"and the model {actual[0]:g} and {actual[1]}"
        )


def _golden(classifier: Classifier, example: GoldenExample) -> Check:
    file, name = classifier.file, f"golden example {example.image}"
    try:
        pixels = _read_golden(_directory(file).read(example.image), classifier)
        predicted = classifier.classify_pixels(pixels)
    except (ModelFileError, ImageError) as error:
        return Check(name, FAILED, without_name(error, file.name), tolerance=example.tolerance)
    actual, expected = predicted.probabilities, np.asarray(example.expected, np.float64)
    difference = float(np.abs(actual - expected).max())
    if example.unknown is not None and predicted.unknown_share is not None:
        difference = max(difference, abs(predicted.unknown_share - example.unknown))
    same = int(actual.argmax()) == int(expected.argmax())
    given, right = (classifier.labels[int(values.argmax())] for values in (actual, expected))
    answer = f"{given}, as it was" if same else f"{given} instead of {right}"
    return Check(
        name,
        OK if difference <= example.tolerance else FAILED,
        f"largest difference of a probability {difference:.6f}, allowed {example.tolerance:g}; "
        f"answer {answer}",
        difference,
        example.tolerance,
        same,
    )


def _directory(file: ModelFile) -> Directory:
    directory = read_directory(file.model, file.name)
    directory.check()
    return directory


def _read_golden(raw: bytes, classifier: Classifier) -> NDArray[np.uint8]:
    """Decode a golden PNG, after its header has shown that it is no larger than the input."""
    size = (classifier.spec.width, classifier.spec.height)
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG",)) as image:
            if image.size != size or image.mode != "RGB":
                raise ImageError(
                    f"it must be RGB of {size[0]}x{size[1]} pixels. "
                    f"Received: {image.mode} of {image.size[0]}x{image.size[1]}"
                )
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"it is no PNG that can be read ({error})") from None


def without_name(error: Exception, name: str) -> str:
    """Return an error's text without the name of the file at its beginning."""
    return str(error).removeprefix(f"{name}: ").removeprefix(f"{name} ")
