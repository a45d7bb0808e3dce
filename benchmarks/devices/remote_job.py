"""What another machine is to measure, what is sent there for it, and what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...edge.errors import BenchmarkError, OptionError
from ...edge.labelled import LabelledImage
from .target import Target


@dataclass(frozen=True)
class Errand:
    """What to measure there.

    `arguments` are options for the far edge-benchmark, such as ("--threads", "1,2"); --json, --data, --labels
    and the files are added. `images` are copied into class folders, and the results call them `data`.
    `wheels` are what to install from in place of the package index. With `keep` the environment stays there
    for the next time. `patience` is for how many seconds a lost connection is opened anew.
    `benchmark_model` is TensorFlow Lite's tool, for Android.
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
    """What one machine gave: its `records`, as edge-benchmark --json prints them, with file names of here.

    `status` is the far process's exit status, None where there was none. `error` is a sentence that names the
    device, None where it went well; `left` says what could not be removed there.
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
class Item:
    """A file, or bytes; `far` is its path there, relative to the job's folder."""

    far: str
    source: Path | bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def sha256(self) -> str:
        """Return the checksum of its bytes."""
        digest = hashlib.sha256()
        for block in self.blocks(0):
            digest.update(block)
        return digest.hexdigest()

    def blocks(self, offset: int) -> Iterator[bytes]:
        """Yield its bytes from `offset` on."""
        if isinstance(self.source, bytes):
            yield self.source[offset:]
            return
        with self.source.open("rb") as file:
            file.seek(offset)
            while block := file.read(_BLOCK):
                yield block


def model_items(errand: Errand) -> list[Item]:
    """Return the models, each in a folder of its own, since two may have one name.

    Raises BenchmarkError for one that is not there.
    """
    return [Item(f"models/{i}/{path.name}", _present(path)) for i, path in enumerate(errand.files)]


def other_items(errand: Errand) -> list[Item]:
    """Return the file of labels and the pictures, in class folders, in the order given.

    Raises BenchmarkError for one that is not there, OptionError for a label that cannot name a folder.
    """
    items = [Item(LABELS, _present(errand.labels))] if errand.labels else []
    for number, image in enumerate(errand.images):
        if PurePosixPath(image.label).name != image.label or image.label.startswith("."):
            raise OptionError(f"The class {image.label!r} cannot name a folder on another machine. Rename it")
        items.append(Item(f"{DATA}/{image.label}/{number:06d}{image.path.suffix}", _present(image.path)))
    return items


def wheel_items(errand: Errand) -> list[Item]:
    """Return the wheels to install from. Raises OptionError for what is none."""
    for path in errand.wheels:
        if path.suffix != ".whl":
            raise OptionError(
                f"--wheel takes files that end in .whl, as pip download makes them. Received: {path}"
            )
    return [Item(f"{WHEELS}/{path.name}", _present(path)) for path in errand.wheels]


class Renaming:
    """Puts the names that files have here into what comes back, and the commit of the working folder."""

    def __init__(self, models: list[Item], others: list[Item], data: str, commit: str | None) -> None:
        self._names = {item.far: str(item.source) for item in (*models, *others)}
        self._data = data
        self._commit = commit
        # The longest first: models/1/a.tflite is a part of models/1/a.tflite2.
        self._in_text = sorted((item.far for item in models), key=len, reverse=True)

    def record(self, record: dict[str, Any], device: str) -> dict[str, Any]:
        """Return a record of the far edge-benchmark as one of this side, said to be the device's."""
        renamed: dict[str, Any] = self._deep(record)
        accuracy = renamed.get("accuracy")
        if isinstance(accuracy, dict) and accuracy.get("data"):
            accuracy["data"] = self._data
        origin = renamed.get("origin")
        if isinstance(origin, dict):
            origin["commit"] = self._commit
        return {**renamed, "device": device}

    def text(self, text: str) -> str:
        """Return a remark with the models' names of this side."""
        for far in self._in_text:
            text = text.replace(far, self._names[far])
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
