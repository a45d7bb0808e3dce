"""Each model file: whole, described, fast here, and giving the answers that it gave where it was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..classifier import Classifier
from ..errors import EdgeClassifyError, SignatureError
from ..foreign import ForeignFacts
from ..image_labels.source import CLASS_FOLDERS, LabelSource
from ..modelfile import NAMED_NORMALIZATIONS, ModelFile
from ..proof import FAILED, UNCHECKED, self_check, without_name
from ..runtime import Execution
from .finding import ERROR, OK, WARNING, Finding
from .images import check_labelled
from .probe import NotRun, Probe, probe

if TYPE_CHECKING:  # Loaded only where a signature is required.
    from ..trusted_keys import TrustedKeys

_RUNTIME_FIRST = "A runtime is needed first: see above"
_SIGNED_COPY = "Copy it from where it was signed, or sign it there: edge-convert FILE --sign KEY -o DIR"
_COPY_AGAIN = "Copy it again, or convert it again with edge-convert"


@dataclass(frozen=True)
class ModelQuestions:
    """The settings for examining models; `facts` are for those without a card.

    `labelled` is a folder of images, whose classes `source` names; they are classified for about `seconds`.
    With `keys` a model is read and run only where one of them has signed it.
    """

    facts: ForeignFacts
    execution: Execution
    labelled: Path | None
    seconds: float
    source: LabelSource = CLASS_FOLDERS
    keys: TrustedKeys | None = None


def check_model(path: Path, asked: ModelQuestions) -> Iterator[Finding]:
    """Read the file, run it in a separate process, then check its answers; stop at the first failure."""
    name = f"model {path.name}"
    try:
        file = asked.keys.read_model(path) if asked.keys is not None else ModelFile.read(path)
    except SignatureError as error:
        yield Finding(f"{name}: signature", ERROR, without_name(error, str(path)), _SIGNED_COPY)
        return
    except EdgeClassifyError as error:
        yield Finding(name, ERROR, without_name(error, str(path)), _COPY_AGAIN)
        return
    yield _describe(name, file, asked.facts.labels)
    found = probe(path, asked.execution, file.model if isinstance(file.model, bytes) else None)
    if isinstance(found, NotRun):
        remedy = _RUNTIME_FIRST if found.no_runtime else "Convert it again, for the runtime that is used here"
        yield Finding(f"{name}: running it", ERROR, found.reason, remedy)
        return
    yield _check_speed(name, found, asked.execution)
    for remark in found.remarks:
        if asked.execution.delegate is not None and asked.execution.delegate in remark:
            yield Finding(
                f"{name}: delegate", WARNING, remark, "Without --delegate-fallback this is an error"
            )
    if file.card is not None:
        yield _check_answers(name, path, asked.keys)
    scaling_known = found.dtype != "float32" or bool(
        file.card or file.normalization or asked.facts.normalization
    )
    if not scaling_known:
        yield Finding(f"{name}: scaling", ERROR, *_scaling_unknown(asked.labelled))
    try:
        classifier = _load(file, asked, scaling_known)
    except EdgeClassifyError as error:
        yield Finding(f"{name}: loading it", ERROR, without_name(error, str(path)), "Convert it again")
        return
    if asked.labelled is not None:
        yield from check_labelled(classifier, scaling_known, asked.labelled, asked.seconds, asked.source)


def _load(file: ModelFile, asked: ModelQuestions, scaling_known: bool) -> Classifier:
    if file.card is not None:
        return Classifier(file, execution=asked.execution)
    anything = NAMED_NORMALIZATIONS["0..255"]
    facts = asked.facts if scaling_known else replace(asked.facts, normalization=anything)
    return Classifier(file, facts, asked.execution)


def _scaling_unknown(labelled: Path | None) -> tuple[str, str]:
    """Return the fault of a float model that does not state how pixels are scaled, and the remedy."""
    remedy = "Give --normalization as the model was trained"
    if labelled is None:
        remedy += "; where you don't know, name a folder of labelled images, and each way is tried on them"
    return "it takes float input, and does not say how pixels are scaled", remedy


def _describe(name: str, file: ModelFile, given: tuple[str, ...] | None) -> Finding:
    card = file.card
    if card is None:
        names = given or file.labels
        labels = f"{len(names)} labels" if names else "no labels (--labels FILE gives them)"
        scaling = "says how pixels are scaled" if file.normalization else "does not say how pixels are scaled"
        return Finding(name, OK, f"no card: not made by edge-convert; {labels}; {scaling}")
    variant = f"{card.conversion.variant}, " if card.conversion else ""
    size = f"{card.input.width}x{card.input.height} {card.input.dtype}"
    top1 = f", top-1 {card.accuracy.top1:.1%} when it was made" if card.accuracy else ""
    return Finding(name, OK, f"card {card.format}, {variant}input {size}, {len(card.labels)} labels{top1}")


def _check_speed(name: str, found: Probe, execution: Execution) -> Finding:
    name, threads = f"{name}: speed", execution.threads
    taker = f"{execution.delegate} with XNNPACK" if execution.delegate else "XNNPACK"
    how = f"{found.infer_ms:.3g} ms an image (median of {found.runs}, {threads} thread{'s' * (threads > 1)})"
    if found.taken is None:
        return Finding(name, OK, f"{how}; {found.runtime} does not report what XNNPACK takes")
    share = f"{taker} takes {found.taken} of {found.operators} operators"
    if found.taken == 0:
        return Finding(
            name,
            WARNING,
            f"{how}; XNNPACK takes none of its operators, which run in slow kernels",
            "Convert it as int8, float32 or float16, which XNNPACK runs; if it is one of them, this build of "
            "the runtime is without XNNPACK for it, as on 32-bit systems",
        )
    return Finding(name, OK, f"{how}; {share}")


def _check_answers(name: str, path: Path, keys: TrustedKeys | None) -> Finding:
    """Sum self_check up in one line."""
    name = f"{name}: self-check"
    try:
        outcome = self_check(path, keys)
    except EdgeClassifyError as error:
        return Finding(name, ERROR, without_name(error, str(path)), _COPY_AGAIN)
    for status, severity in ((FAILED, ERROR), (UNCHECKED, WARNING)):
        if bad := [check for check in outcome.checks if check.status == status]:
            detail = "; ".join(f"{check.name} {check.status}: {check.detail}" for check in bad)
            return Finding(name, severity, detail, _COPY_AGAIN)
    golden = [check.difference for check in outcome.checks if check.difference is not None]
    worst = f", golden examples within {max(golden):.4f}" if golden else ""
    return Finding(name, OK, f"all {len(outcome.checks)} checks hold{worst}")
