"""A benchmark for another machine: what to measure, the files that are sent, and the outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ...edge.console import say
from ...edge.errors import BenchmarkError, ImageError, OptionError
from ...edge.labelled import LabelledImage
from ...edge.picture_kinds import HEAD, identify, starts_as_picture
from ..scoring.split import read_labelled
from .target import Target


@dataclass(frozen=True)
class RemoteJob:
    """A benchmark for another machine.

    `arguments` are options for its edge-benchmark, such as ("--threads", "1,2"); --json, --data, --labels and
    the files are added. `images` are copied into class folders, and the results name them `data`. `wheels`
    are installed in place of those of the package index. With `keep` the environment stays there for the next
    time. `patience` is the seconds in which a lost connection must be opened again. `benchmark_model`, for
    Android, is the path of TensorFlow Lite's tool.
    """

    files: tuple[Path, ...]
    arguments: tuple[str, ...] = ()
    images: tuple[LabelledImage, ...] = ()
    data: str = "sample"
    labels: Path | None = None
    wheels: tuple[Path, ...] = ()
    keep: bool = False
    patience: float = 300.0
    threads: tuple[int, ...] = (1,)
    runs: int | None = None
    benchmark_model: Path | None = None


@dataclass(frozen=True)
class DeviceOutcome:
    """One machine's `records`, as edge-benchmark --json prints them, with this machine's file names.

    `status` is the exit status of its process, None where it had none. `error` is a sentence that names the
    device, None without an error; `left` says which folder could not be removed there, and how to remove it.
    """

    target: Target
    records: tuple[dict[str, Any], ...]
    status: int | None = None
    error: str | None = None
    interrupted: bool = False
    left: str | None = None


_BLOCK = 1 << 16
LABELS, DATA, WHEELS = "labels.txt", "data", "wheels"


@dataclass(frozen=True)
class SentFile:
    """A file or bytes to send; `remote_path` is relative to the job's folder on the other machine.

    `expected` is the checksum of its bytes, if that is known.
    """

    remote_path: str
    source: Path | bytes
    expected: str | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def sha256(self) -> str:
        """Return the checksum of its bytes; raises BenchmarkError where another one is expected."""
        digest = hashlib.sha256()
        for block in self.blocks(0):
            digest.update(block)
        found = digest.hexdigest()
        if self.expected not in (None, found):
            raise BenchmarkError(f"The file for {self.remote_path} has changed meanwhile, and is not sent")
        return found

    def blocks(self, offset: int) -> Iterator[bytes]:
        """Yield its bytes from `offset` on."""
        if isinstance(self.source, bytes):
            yield self.source[offset:]
            return
        with self.source.open("rb") as file:
            file.seek(offset)
            while block := file.read(_BLOCK):
                yield block


def pictures_to_send(images: Sequence[LabelledImage]) -> tuple[LabelledImage, ...]:
    """Return those images that are pictures, and those that their split lists, with their checksums.

    A split or a link that somebody else made may name any file of this machine: what is not sent is said.
    Raises BenchmarkError where nothing is left of some images.
    """
    sent = []
    for image in images:
        try:
            raw = read_labelled(image)
        except ImageError as error:
            say(f"{error}. It is not sent")
            continue
        if identify(raw[:HEAD]) and starts_as_picture(raw[:HEAD]):
            sent.append(replace(image, sha256=hashlib.sha256(raw).hexdigest()))
        else:
            say(f"{image.path} is not a picture that can be read. It is not sent")
    if images and not sent:
        raise BenchmarkError(f"None of the {len(images)} images can be sent to another machine")
    return tuple(sent)


def model_files(job: RemoteJob) -> list[SentFile]:
    """Return the models, each in its own folder, since two may have the same name.

    Raises BenchmarkError for a model that does not exist.
    """
    return [SentFile(f"models/{i}/{path.name}", _present(path)) for i, path in enumerate(job.files)]


def other_files(job: RemoteJob) -> list[SentFile]:
    """Return the file of labels and the images, in class folders, in their order.

    Raises BenchmarkError for a file that does not exist, OptionError for a label that cannot name a folder.
    """
    files = [SentFile(LABELS, _present(job.labels))] if job.labels else []
    for number, image in enumerate(job.images):
        if PurePosixPath(image.label).name != image.label or image.label.startswith("."):
            raise OptionError(f"The class {image.label!r} cannot name a folder on another machine. Rename it")
        path = f"{DATA}/{image.label}/{number:06d}{image.path.suffix}"
        files.append(SentFile(path, _present(image.path), image.sha256))
    return files


def wheel_files(job: RemoteJob) -> list[SentFile]:
    """Return the wheels to install. Raises OptionError for a path that is no wheel."""
    for path in job.wheels:
        if path.suffix != ".whl":
            raise OptionError(
                f"--wheel takes files that end in .whl, as pip download makes them. Received: {path}"
            )
    return [SentFile(f"{WHEELS}/{path.name}", _present(path)) for path in job.wheels]


class LocalNames:
    """Replaces the other machine's file names in its results, and adds the commit of the working folder."""

    def __init__(self, models: list[SentFile], others: list[SentFile], data: str, commit: str | None) -> None:
        self._names = {file.remote_path: str(file.source) for file in (*models, *others)}
        self._data = data
        self._commit = commit
        # The longest first: models/1/a.tflite is a part of models/1/a.tflite2.
        self._in_text = sorted((file.remote_path for file in models), key=len, reverse=True)

    def record(self, record: dict[str, Any], device: str) -> dict[str, Any]:
        """Return a record of the other machine with this machine's file names and the device's name."""
        renamed: dict[str, Any] = self._deep(record)
        accuracy = renamed.get("accuracy")
        if isinstance(accuracy, dict) and accuracy.get("data"):
            accuracy["data"] = self._data
            if isinstance(accuracy.get("choice"), dict):
                accuracy["choice"]["data"] = self._data
        origin = renamed.get("origin")
        if isinstance(origin, dict):
            origin["commit"] = self._commit
        return {**renamed, "device": device}

    def text(self, text: str) -> str:
        """Return a message with this machine's names of the models."""
        for remote_path in self._in_text:
            text = text.replace(remote_path, self._names[remote_path])
        return text

    def _deep(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._names.get(value) or self.text(value)
        if isinstance(value, list):
            return [self._deep(element) for element in value]
        if isinstance(value, dict):
            return {key: self._deep(element) for key, element in value.items()}
        return value


def _present(path: Path) -> Path:
    if not path.is_file():
        raise BenchmarkError(f"{path} is not a file, and cannot be sent to another machine")
    return path
