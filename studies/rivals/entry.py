"""One training with its conversion and its answers: a rival's, or edge-train's and edge-convert's."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.json_files import read_json

from studies.rivals import answers, training
from studies.rivals.answers import EntryAnswers, ask_edge_classify, ask_file
from studies.rivals.catalogue import find_rival
from studies.rivals.image_set import ImageSet

FILE = "model.tflite"
_SHOWN_LINES = 6  # Of a command that failed.
_LOST_TOO_MUCH = 1  # edge-convert's exit status where int8 lost too much; its file is there.


@dataclass(frozen=True)
class Entry:
    """A recipe on a set with a seed; `folder` keeps its file FILE and its answers.

    `options` are those of edge-train, None for a rival. `run` is a finished run of edge-train to take.
    """

    images: ImageSet
    recipe: str
    seed: int
    weights: str
    folder: Path
    options: tuple[str, ...] | None = None
    run: Path | None = None

    @property
    def title(self) -> str:
        """What is going on."""
        return f"{self.recipe} on {self.images.name}, seed {self.seed}"

    def result(self) -> EntryAnswers:
        """Return the answers that are kept, or train, convert and ask; raises ClickException."""
        if not (self.folder / answers.FILE).exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            made = self._ours() if self.options is not None else self._rival()
            made.write(self.folder)
        kept = EntryAnswers.read(self.folder)
        for name, was, now in (
            ("weights", kept.weights, self.weights),
            ("options", shlex.join(kept.options), shlex.join(self.options or ())),
        ):
            if was != now:
                raise click.ClickException(
                    f"{self.folder} was made with the {name} {was!r}. Received: {now!r}. Give another "
                    "--output, or delete that folder"
                )
        return kept

    def _rival(self) -> EntryAnswers:
        rival = find_rival(self.recipe)
        words = [self.recipe, self.images.root / "train", "--weights", self.weights, "--seed", self.seed]
        _call("studies.rivals.training", *words, "--output", self.folder)
        record = read_json(self.folder, training.RECORD)
        pictures = (rival.picture(image.path) for image in self.images.test)
        found = ask_file(self.folder / FILE, pictures, record["labels"])
        return self._answers(rival.variant, record["seconds"], found)

    def _ours(self) -> EntryAnswers:
        run, seconds = self.run, None
        if run is None:
            run = self.folder / "run"
            began = time.perf_counter()
            words = [self.images.root, "--output", run, "--seed", self.seed, *(self.options or ())]
            _call("edge_classify.train", *words)
            seconds = time.perf_counter() - began
        self._require_same_images(run)
        words = [run, "--output", self.folder / "files", "--variant", "int8", "--data", self.images.root]
        _call("edge_classify.convert", *words, accepted=(0, _LOST_TOO_MUCH))
        made = sorted((self.folder / "files").glob("*_int8.tflite"))
        if len(made) != 1:
            raise click.ClickException(
                f"{run} must hold one model. Received: {', '.join(p.stem for p in made)}"
            )
        made[0].replace(self.folder / FILE)
        return self._answers("int8", seconds, ask_edge_classify(self.folder / FILE, self.images))

    def _answers(self, variant: str, seconds: float | None, found: Sequence[str]) -> EntryAnswers:
        return EntryAnswers(
            set_name=self.images.name,
            recipe=self.recipe,
            seed=self.seed,
            variant=variant,
            weights=self.weights,
            seconds=seconds,
            size_bytes=(self.folder / FILE).stat().st_size,
            images=tuple(self.images.names()),
            truth=tuple(image.label for image in self.images.test),
            answers=tuple(found),
            options=self.options or (),
        )

    def _require_same_images(self, run: Path) -> None:
        tested = {image.path for image in Split.read(run).images if image.subset == "test"}
        if tested != set(self.images.names()):
            raise click.ClickException(
                f"{run} was tested on other images than the folder test of {self.images.root} holds: "
                f"{len(tested)} and {len(self.images.test)}"
            )


def _call(module: str, *words: object, accepted: Sequence[int] = (0,)) -> None:
    """Run a module with this Python; raises ClickException with its last lines when it fails."""
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in accepted:
        last = " ".join(line.strip() for line in (done.stderr or done.stdout).splitlines()[-_SHOWN_LINES:])
        raise click.ClickException(f"{shlex.join(command)} ended with exit status {done.returncode}: {last}")
