"""Usage: python -m studies.demo FOLDER

Both networks on handwritten digits, from training to benchmark, as a user would do it: `make demo`. Ends with
which file to ship and what to type next. Whatever the commands print is kept in FOLDER/log.txt. Some three to
fourteen minutes on two cores.
"""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
import time
from pathlib import Path

import click
from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.recommend import advise
from edge_classify.benchmarks.results.reading import read_results
from edge_classify.benchmarks.results.result import Result
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.console import INTERRUPTED

from .steps import StepError, Steps, duration

_WIDTH = 100
# Digits don't look like ImageNet's photos: all layers are fine-tuned, norms too.
_TRAINING = ["--image-size", "cnn=32,mobilenet_v2=64", "--alpha", "0.35", "--epochs", "10,16", "--force"]
_PRETRAINED = ["--weights", "imagenet", "--fine-tune-layers", "all", "--batch-norm", "trained"]


class Demo:
    """The commands, with their files below one folder; `commands` is the folder of the four programs."""

    def __init__(self, folder: Path, commands: Path) -> None:
        """Begin a new log."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.run, self.models = folder / "run", folder / "models"
        self.results, self.report = folder / "benchmark.jsonl", folder / "benchmark.html"
        self._commands = commands
        self.steps = Steps(folder / "log.txt")

    def make(self) -> None:
        """Train, convert, classify and benchmark; raises StepError."""
        self._train()
        convert = self._command(
            "edge-convert", str(self.run), "--output", str(self.models), "--details", "--force"
        )
        self.steps.run("Converting each network to four .tflite files", convert)
        int8 = [f"--model={self.models / name}_int8.tflite" for name in ("cnn", "mobilenet_v2")]
        photos = [str(path) for path in self.photos()[::80]]
        classify = self._command("edge-classify", *int8, "--top", "2", *photos)
        self.steps.run("Classifying five test images with both int8 files", classify)
        files = sorted(map(str, self.models.glob("*.tflite")))
        kept = ["--output", str(self.results), "--report", str(self.report), "--details", "--force"]
        benchmark = self._command("edge-benchmark", *files, "--data", str(self.run), *kept)
        self.steps.run(f"Benchmarking all {len(files)} files", benchmark)

    def _train(self) -> None:
        title = "Training two networks on 1,797 handwritten digits"
        train = self._command("edge-train", "digits", "--output", str(self.run), *_TRAINING)
        try:
            self.steps.run(title, [*train, *_PRETRAINED])
        except StepError as error:
            if not any("ImageNet weights" in line and line.startswith("Error: ") for line in error.lines):
                raise
            click.echo(
                "   The ImageNet weights cannot be downloaded, so MobileNetV2 starts from random ones.",
                err=True,
            )
            self.steps.run(title, [*train, "--weights", "none"])

    def _command(self, name: str, *words: str) -> list[str]:
        return [str(self._commands / name), *words]

    def photos(self) -> list[Path]:
        """Return the test images."""
        return [image.path for image in Split.read(self.run).subset("test", self.run / "images")]

    def summary(self, seconds: float) -> list[str]:
        """Return what is printed at the end: at most 15 lines of at most 100 columns."""
        found = read_results(self.results)
        (advice,) = advise(found, Budget())
        results = [result for result in found if isinstance(result, Result)]
        chosen = dict(zip(advice.names, results, strict=True)).get(advice.recommendation.name or "")
        made = f"Made in {duration(seconds)}: {len(found)} .tflite files in {self.models}."
        reports = f"Reports: {self.run / 'report.html'} and {self.report}"
        log = f"All that the commands printed: {self.steps.log}"
        if chosen is None:
            return [made, *_wrapped(advice.sentence()), reports, log]
        return [
            made, "", *_wrapped(_describe(chosen, advice.recommendation.reason)), "", "Type next:",
            *(f"  {line}" for line in self._next(Path(chosen.file))), "", reports, log,
        ]  # fmt: skip

    def _next(self, file: Path) -> list[str]:
        commands = _short(self._commands)
        photo = _short(self.photos()[0])
        return [
            shlex.join([str(commands / "edge-classify"), "-m", str(file), str(photo)]),
            shlex.join([str(commands / "edge-benchmark"), str(file), "--on", "pi@raspberrypi.local"]),
            shlex.join([str(commands / "edge-train"), "photos", "--output", "run"])
            + "   # a folder of photos for each thing",
        ]


def _describe(chosen: Result, reason: str) -> str:
    accuracy, subject = chosen.accuracy, chosen.subject
    right = ""
    if accuracy is not None:
        low, high = accuracy.top1_ci95
        right = f"{accuracy.top1:.1%} of {accuracy.images} test images are right ({low:.1%} to {high:.1%}), "
    return (
        f"Ship {subject.file} ({subject.size_bytes / 1e6:.2f} MB): {right}{chosen.latency.median_ms:.2f} ms "
        f"a picture here. Why this one: {reason}."
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False, break_long_words=False)


def _short(path: Path) -> Path:
    """Return a path below the working folder without it."""
    return Path(os.path.relpath(path)) if path.absolute().is_relative_to(Path.cwd()) else path


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Make the demo and print its summary; exit status 1 where a command failed."""
    began = time.monotonic()
    demo = Demo(folder, Path(sys.executable).parent)
    try:
        demo.make()
    except StepError as error:
        for line in [*error.lines, f"Error: {error}. All that was printed: {demo.steps.log}"]:
            click.echo(line, err=True)
        raise click.exceptions.Exit(1) from None
    except KeyboardInterrupt:
        click.echo(f"Interrupted. All that was printed: {demo.steps.log}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    click.echo("\n".join(["", *demo.summary(time.monotonic() - began)]))


if __name__ == "__main__":
    main()
