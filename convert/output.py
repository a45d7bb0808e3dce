"""The folder that edge-convert writes: the names of its files, the record of each, and conversion.json."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..benchmarks.scoring.choice import RightAnswers
from ..benchmarks.scoring.loss import AnyLoss, Loss
from ..edge.card import Accuracy, OutputSpec
from ..edge.console import say
from ..edge.durable import make_folders
from ..edge.errors import OptionError, OutputExistsError, OutputKeptError, OutputLostError, error_text
from ..edge.files import refuse_to_replace, require_writable, write_result
from ..edge.inner_files import UnsafePathError, inner_path
from ..edge.json_files import JsonError, read_json, structured
from ..edge.locks import lock_file
from ..edge.parts import describe_left_over
from .recipes import Recipe
from .signatures import ModelSigner, signature_record

_SUMMARY_NAME = "conversion.json"
_LOCK_NAME = ".edge-convert.lock"


def model_file_name(model: str, recipe: Recipe) -> str:
    """Return the name of a model's variant."""
    return f"{model}_{recipe.name}.tflite"


def plot_file_name(model: str) -> str:
    """Return the name of the plot of the errors that 8 bits cause in each layer."""
    return f"{model}_doctor.png"


@dataclass(frozen=True)
class TimedInference:
    """Milliseconds of single inferences with one thread, and MB of memory, on this machine."""

    median_ms: float
    p99_ms: float
    peak_rss_mb: float | None


@dataclass(frozen=True)
class Converted:
    """One file that was made; rates are fractions of 1.

    `accuracy` and `float32_agreement`, the share of images that the float32 variant answers alike, are None
    where there were no labelled images; `estimated_loss` is then the loss on other images. `reference_top1`
    is the accuracy of the model that the file was made from, and `loss` what the file lost to it. `answers`
    are to the images that one of the files is chosen by; they are no part of the record.
    """

    file: str
    model: str
    variant: str
    size_bytes: int
    convert_seconds: float
    output: OutputSpec
    accuracy: Accuracy | None
    reference_top1: float | None
    float32_agreement: float | None
    float32_difference: float | None
    estimated_loss: AnyLoss | None
    loss: AnyLoss | None
    latency: TimedInference | None
    signer: ModelSigner | None = None
    answers: RightAnswers | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one flat object, as conversion.json and --json have it."""
        accuracy = asdict(self.accuracy) if self.accuracy else dict.fromkeys(_ACCURACY)
        accuracy.pop("dataset", None)
        latency = asdict(self.latency) if self.latency else dict.fromkeys(_LATENCY)
        output = {
            name: getattr(self.output, name) for name in ("temperature", "threshold", "threshold_precision")
        }
        names = ("file", "model", "variant", "size_bytes", "convert_seconds")
        return {
            **{name: getattr(self, name) for name in names},
            **accuracy,
            "keras_top1": self.reference_top1,
            "float32_agreement": self.float32_agreement,
            "float32_difference": self.float32_difference,
            "estimated_loss": self.estimated_loss.fraction if self.estimated_loss else None,
            "loss_at_least": _rounded(self.loss.at_least()) if self.loss else None,
            "loss_at_most": _rounded(self.loss.at_most()) if self.loss else None,
            **output,
            **latency,
            **signature_record(self.signer),
        }


_ACCURACY = [name for name in Accuracy.__dataclass_fields__ if name != "dataset"]
_LATENCY = list(TimedInference.__dataclass_fields__)


def loss_of(accuracy: Accuracy | None, estimated: AnyLoss | None) -> AnyLoss | None:
    """Return the measured loss of top-1 accuracy, or else the estimated one; None without either."""
    if accuracy is None or accuracy.only_float is None or accuracy.only_this is None:
        return estimated
    differing, compared = 0, 0
    if accuracy.float_agreement is not None:
        compared = accuracy.images
        differing = compared - round(accuracy.float_agreement * compared)
    return Loss(accuracy.only_float, accuracy.only_this, accuracy.images, differing, compared)


def _rounded(fraction: float) -> float:
    return round(fraction, 6)


@dataclass(frozen=True)
class _Summary:
    """The content of conversion.json."""

    files: list[dict[str, Any]]
    source: str = ""
    doctor: dict[str, Any] = field(default_factory=dict)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents, and lock it; at the end remove those that are new and still empty.

    Raises OptionError where another edge-convert is writing into the folder: each would lose the other's
    lines of conversion.json.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    make_folders(folder)
    if remark := describe_left_over(folder):
        say(remark)
    try:
        with _locked(folder):
            yield
    finally:
        for path in new:
            if any(path.iterdir()):
                break
            path.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with lock_file(folder / _LOCK_NAME) as locked:
            if locked is False:
                raise OptionError(
                    f"Another edge-convert is writing {folder}. Wait for it, or name another --output"
                )
            if locked is None:
                say(
                    f"{folder} cannot be locked on this kind of disk. Start no other edge-convert into it now"
                )
            yield
    except PermissionError as error:
        raise OptionError(f"{folder} cannot be written: {error.strerror}") from None


def write_or_keep(path: Path, data: bytes, replace: bool, unwritten: list[str]) -> bool:
    """Write one of several results, and return whether it lies where it belongs.

    Where it had to be kept elsewhere, or is lost, a sentence joins `unwritten`: the others are written.
    """
    try:
        write_result(path, data, replace)
    except (OutputKeptError, OutputLostError) as error:
        unwritten.append(str(error))
        return False
    return True


def check_writable(output: Path, names: Sequence[str], force: bool) -> None:
    """Raise OutputExistsError or OptionError unless files of these names can be written into a folder."""
    for name in names:
        refuse_to_replace(output / name, force)
        require_writable(output / name)


def read_summary(output: Path) -> dict[str, Any]:
    """Return the record of an earlier conversion into the same folder, of the files that are still there.

    Raises OutputExistsError when another program's file has the summary's name.
    """
    path = output / _SUMMARY_NAME
    if path.is_file() and not path.is_symlink() and path.stat().st_size == 0:
        say(f"{path} is empty, as after a power cut: it is made again, and lists no earlier files")
        return {"source": "", "files": [], "doctor": {}}
    try:
        summary = structured(_Summary, read_json(output, _SUMMARY_NAME, finite=False))
        files = [item for item in summary.files if _is_here(output, item)]
    except FileNotFoundError:
        return {"source": "", "files": [], "doctor": {}}
    except (OSError, JsonError) as error:
        raise OutputExistsError(
            f"{path} was not written by edge-convert, and is not replaced ({error_text(error)}). "
            "Name another --output"
        ) from None
    return {"source": "", "files": files, "doctor": summary.doctor}


def _is_here(output: Path, item: dict[str, Any]) -> bool:
    """Return whether the file of an item is in the folder; raises JsonError for a name that leads outside."""
    name = item.get("file")
    if not isinstance(name, str):
        raise JsonError(f"the file of an item is no text. Received: {reprlib.repr(name)}")
    try:
        return inner_path(output, name).is_file()
    except UnsafePathError as error:
        raise JsonError(f"the file {reprlib.repr(name)} {error}") from None


def write_summary(output: Path, summary: dict[str, Any], unwritten: list[str]) -> None:
    """Write conversion.json; a sentence joins `unwritten` where that fails."""
    text = json.dumps(summary, indent=1) + "\n"
    write_or_keep(output / _SUMMARY_NAME, text.encode(), True, unwritten)
