"""The four commands as they are tried: how each is called, and what must be true of its files afterwards.

A file under its final name must be whole, whatever happened. After a run that said it had succeeded, all of
its results must be there. After any other run older results must be as they were, or be replaced as a whole.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_classify.benchmarks.results.reading import read_results
from edge_classify.edge.errors import EdgeClassifyError
from edge_classify.edge.modelfile import ModelFile
from PIL import Image


@dataclass(frozen=True)
class Material:
    """What all trials read: photos, a float .tflite with its labels, and a data set to train on."""

    photos: Path
    count: int
    model: Path
    labels: Path
    data: Path


class Subject(ABC):
    """A command that writes into a folder; `seconds` is about how long a run takes here."""

    name: str
    result: str  # The file that shows that a run is complete, in its folder.

    def __init__(self, material: Material) -> None:
        """Take what all trials read."""
        self.material = material

    @abstractmethod
    def arguments(self, folder: Path, force: bool) -> list[str]:
        """Return the command line that writes into `folder`."""

    @abstractmethod
    def older(self, folder: Path) -> None:
        """Write results of an older run into an empty folder."""

    @abstractmethod
    def half_written(self, path: Path) -> str | None:
        """Return what is wrong with one file under a final name, if anything."""

    @abstractmethod
    def missing(self, folder: Path) -> list[str]:
        """Return what a run that succeeded should have written, and is not there."""

    def replaces(self, path: Path) -> bool:
        """Return whether a file that is whole may stand in place of an older one after a run that failed."""
        return path.is_file()

    def recovery(self, folder: Path) -> list[str]:
        """Return the command line of the run that a person starts afterwards."""
        return self.arguments(folder, force=True)

    def find_half_written(self, *folders: Path) -> list[str]:
        """Return what is wrong with all files under final names."""
        found = []
        for path in visible(*folders):
            try:
                problem = self.half_written(path)
            except (OSError, ValueError, EdgeClassifyError, zipfile.BadZipFile) as error:
                problem = f"{type(error).__name__}: {error}"
            if problem:
                found.append(f"{path.name}: {problem}")
        return found


def visible(*folders: Path) -> Iterator[Path]:
    """Yield the files that a person sees, and no hidden ones."""
    for folder in folders:
        for parent, inner, names in os.walk(folder):
            inner[:] = [name for name in inner if not name.startswith(".") and name != "lost+found"]
            yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def module(package: str, *arguments: object) -> list[str]:
    """Return the command line of one of the four commands, in this Python."""
    return [sys.executable, "-m", f"edge_classify.{package}", *map(str, arguments)]


class Classify(Subject):
    """A folder of photos, with lines, annotated pictures and collected ones."""

    name, result = "edge-classify", "lines.jsonl"
    _OLD = '{"source": "older"}\n' * 3

    def arguments(self, folder: Path, force: bool) -> list[str]:
        """Return the command line."""
        kept = ("--save-annotated", folder / "shown", "--collect", folder / "unsure", "--collect-random", 0.3)
        forced = ["--force"] if force else []
        return module(
            "edge", self.material.photos, "--json", "--output", folder / "lines.jsonl", *kept, *forced
        )

    def older(self, folder: Path) -> None:
        """Write lines that are fewer."""
        (folder / "lines.jsonl").write_text(self._OLD)

    def replaces(self, path: Path) -> bool:
        """Return whether all lines are there: a part of them is no reason to replace an older file."""
        return path.is_file() and len(path.read_text().splitlines()) == self.material.count

    def half_written(self, path: Path) -> str | None:
        """Read lines, pictures and records."""
        if path.suffix == ".jsonl":
            text = path.read_text()
            for line in text.splitlines():
                json.loads(line)
            return None if text.endswith("\n") else "ends in the middle of a line"
        if path.suffix == ".jpg":
            with Image.open(path) as image:
                image.load()
            if path.parent.name == "unsure" and not path.with_suffix(".json").is_file():
                return "has no record"
        if path.suffix == ".json":
            json.loads(path.read_text())
            return None if path.with_suffix(".jpg").is_file() else "has no picture"
        return "is empty" if path.stat().st_size == 0 else None

    def missing(self, folder: Path) -> list[str]:
        """Count lines and annotated pictures."""
        path, count = folder / "lines.jsonl", self.material.count
        lines = len(path.read_text().splitlines()) if path.is_file() else 0
        pictures = len(list((folder / "shown").glob("*.jpg")))
        found = [] if lines == count else [f"{lines} of {count} lines"]
        return [*found, *([] if pictures >= count else [f"{pictures} of {count} annotated pictures"])]


class Convert(Subject):
    """A float .tflite becomes two variants, with conversion.json."""

    name, result = "edge-convert", "conversion.json"
    _FILES = ("m_float32.tflite", "m_float16.tflite")

    def arguments(self, folder: Path, force: bool) -> list[str]:
        """Return the command line."""
        what = ("--labels", self.material.labels, "--normalization", "0,255")
        variants = ("--variant", "float32", "--variant", "float16")
        forced = ["--force"] if force else []
        return module("convert", self.material.model, *what, *variants, "--output", folder, *forced)

    def older(self, folder: Path) -> None:
        """Write another model under the name of a variant; conversion.json does not name it."""
        (folder / self._FILES[1]).write_bytes(self.material.model.read_bytes())

    def half_written(self, path: Path) -> str | None:
        """Read models with their checksums, and that conversion.json names files that are there."""
        if path.suffix == ".tflite":
            ModelFile.read(path)
        if path.name == "conversion.json":
            files = [item["file"] for item in json.loads(path.read_text())["files"]]
            gone = [name for name in files if not (path.parent / name).is_file()]
            return f"names {gone}, which are not there" if gone else None
        return "is empty" if path.stat().st_size == 0 else None

    def missing(self, folder: Path) -> list[str]:
        """Look for the variants, and for their names in conversion.json."""
        found = [name for name in self._FILES if not (folder / name).is_file()]
        summary = folder / "conversion.json"
        named = (
            {item["file"] for item in json.loads(summary.read_text())["files"]} if summary.is_file() else ()
        )
        return [*found, *(f"{name} in conversion.json" for name in self._FILES if name not in named)]


class Benchmark(Subject):
    """One model, with results and a report."""

    name, result = "edge-benchmark", "results.jsonl"

    def arguments(self, folder: Path, force: bool) -> list[str]:
        """Return the command line."""
        how = ("--runs", 3, "--processes", 1)
        where = ("--output", folder / "results.jsonl", "--report", folder / "report.html")
        return module("benchmarks", self.material.model, *how, *where, *(["--force"] if force else []))

    def older(self, folder: Path) -> None:
        """Write a text in place of older results: nobody reads it but the check that it is still there."""
        (folder / "report.html").write_text("<html>older</html>\n")

    def half_written(self, path: Path) -> str | None:
        """Read results; see that the report has its end."""
        if path.suffix == ".jsonl":
            read_results(path, remark=_refuse)
        if path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
            return "has no end"
        return None

    def missing(self, folder: Path) -> list[str]:
        """Look for results and report."""
        return [name for name in ("results.jsonl", "report.html") if not (folder / name).is_file()]


class Train(Subject):
    """A small network on a few images, without a cache."""

    name, result = "edge-train", "run/split.json"
    _FILES = (
        "report.html",
        "split.json",
        "audit.json",
        "cnn/model.keras",
        "cnn/card.json",
        "cnn/metrics.json",
    )

    def arguments(self, folder: Path, force: bool) -> list[str]:
        """Return the command line."""
        how = ("--model", "cnn", "--image-size", 32, "--epochs", "2,1", "--folds", 0, "--cache", "none")
        forced = ["--force"] if force else []
        return module("train", self.material.data, *how, "--output", folder / "run", *forced)

    def replaces(self, path: Path) -> bool:
        """Return whether a file that is whole may stand in place of an older one after a run that failed."""
        return path.is_file()

    def recovery(self, folder: Path) -> list[str]:
        """Continue where that is possible, and otherwise start again."""
        if (folder / "run" / ".unfinished" / "request.json").is_file():
            return module("train", "--resume", folder / "run")
        return self.arguments(folder, force=True)

    def older(self, folder: Path) -> None:
        """Write a note of the user's, which no run may touch."""
        (folder / "run").mkdir()
        (folder / "run" / "notes.txt").write_text("mine")

    def half_written(self, path: Path) -> str | None:
        """Read JSON, the model's archive, and the report's end."""
        if path.suffix == ".json":
            json.loads(path.read_text())
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                return archive.testzip()
        if path.suffix == ".html" and not path.read_text().rstrip().endswith("</html>"):
            return "has no end"
        return "is empty" if path.stat().st_size == 0 else None

    def missing(self, folder: Path) -> list[str]:
        """Look for the files of a run."""
        return [name for name in self._FILES if not (folder / "run" / name).is_file()]


def _refuse(sentence: str) -> None:
    raise ValueError(sentence)
