"""Usage: python -m studies.unknown NAME=RUN=DATA... --far FOLDER... --output FOLDER

Claim: the distance of an image's features to a few directions a class tells what a model was never taught
from what it knows, far better than its highest probability, in float32 and in int8 files.

RUN is a run of edge-train with one model, or a model's folder in it; DATA has its images. Runs of one NAME
are seeds, and averaged. The float32 and int8 files of each are made, and run by the interpreter over
training, validation and test images, over the pictures of each --far FOLDER (those of its test/, where it has
one), and over made-up outliers: what a broken or covered camera gives. Tables tell, for each score, how well
it tells known test images from unknown ones, what a threshold that loses 2 % of the right answers to
validation images loses of those to test images and lets through, and what prototypes in the file would cost.

Nothing but training and validation images chooses anything; all others report. A model that has learned from
the validation images is replaced, for the threshold, by the one from before (before_refit.keras).

Near outliers are the test images of DATA of classes that the model does not know. Such a run is made by
training on a copy of DATA without the folders of these classes:

    cp -r DATA PART && rm -r PART/*/CLASS && edge-train PART -o RUN --model mobilenet_v2
    python -m studies.unknown part=RUN=DATA --output FOLDER

--hold-out N needs no such training: N classes are left out of the bank, and the last layer is fitted anew on
the run's features. Where the network was fine-tuned, it has learned from these classes, and the figures are
too good; they are sound for runs of edge-train --epochs 20,0 --no-refit.

Files and features are kept in FOLDER, so that an interrupted study goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from edge_classify.convert.inspection.inspection import inspect
from edge_classify.convert.recipes import INT8
from threadpoolctl import threadpool_limits

from studies.image_units import UnitRule, image_units, parse_rules, refuse_unused
from studies.unknown.comparison import FileAnswers, score_file
from studies.unknown.features import FeatureReader, Read, read_pictures
from studies.unknown.hold_out import draw_classes, without_classes
from studies.unknown.prototypes import INT8_PROTOTYPES, PROTOTYPES
from studies.unknown.runs import StudyRun, make_files, open_run
from studies.unknown.scores import SCORES, Fit, Labelled
from studies.unknown.tables import FileCost, print_tables

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True, metavar="NAME=RUN=DATA...")
@click.option("--far", multiple=True, type=_FOLDER, help="A folder of unknown pictures; repeatable.")
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="The folder of files and features.")  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=300, show_default=True,
              help="Most pictures of a far folder.")  # fmt: skip
@click.option("--hold-out", type=click.IntRange(1), metavar="N", help="Hold N classes of each run out.")
@click.option("--draws", type=click.IntRange(1), default=3, show_default=True, help="Draws of these classes.")
@click.option("--unit", "rules", multiple=True, metavar="NAME=RULE",
              help="Which test photos of a set belong together; see studies/image_units.py.")  # fmt: skip
def main(runs: tuple[str, ...], far: tuple[Path, ...], output: Path, most: int, hold_out: int | None,
         draws: int, rules: tuple[str, ...]) -> None:  # fmt: skip
    """Compare scores that tell unknown images from known ones, on runs of edge-train."""
    opened = [open_run(text) for text in runs]
    units = parse_rules(rules)
    refuse_unused(units, [run.name for run in opened])
    answers, costs = [], {}
    for run in opened:
        for item in answer(run, far, most, output, units):
            answers.append(item)
            costs[run.name] = _cost(run, item, output)
            click.echo(f"{run.name}: {item.variant} read", err=True)
    if hold_out is not None:
        answers = [
            without_classes(item, draw_classes(item, hold_out, seed))
            for item in answers
            for seed in range(draws)
        ]
    with threadpool_limits(1):  # Waiting for other threads takes longer, on a busy machine.
        scored = [found for item in answers for found in score_file(item, _methods(item))]
        print_tables(scored, answers, list(costs.values()))


def answer(
    run: StudyRun, far: tuple[Path, ...], most: int, output: Path, rules: Mapping[str, UnitRule]
) -> Iterator[FileAnswers]:
    """Yield what each file of a run gives for all its images."""
    card, folder = run.job.card, output / "features"
    readers = _readers(run, make_files(run, output / "files"))
    known = {p.name: read_pictures(readers, p, card, folder) for p in run.known()}
    unknown = {p.name: read_pictures(readers, p, card, folder) for p in run.unknown(far, most)}
    earlier = known
    if run.refit:
        readers = _readers(run, make_files(run, output / "files", before=True))
        choosing = [p for p in run.known() if p.name != "test"]
        earlier = {p.name: read_pictures(readers, p, card, folder) for p in choosing}
    for variant in readers:
        test = known["test"][variant]
        yield FileAnswers(
            run.name,
            variant,
            _labelled(run, known["train"][variant]),
            (_labelled(run, earlier["train"][variant]), _labelled(run, earlier["validation"][variant])),
            _labelled(run, test),
            tuple(image_units(rules, run.name, test.paths)),
            {name: found[variant].outputs for name, found in unknown.items()},
        )


def _methods(answers: FileAnswers) -> dict[str, Fit]:
    simulated = INT8_PROTOTYPES if answers.variant == INT8.name else {}
    return {**SCORES, **PROTOTYPES, **simulated}


def _readers(run: StudyRun, files: Mapping[str, bytes]) -> dict[str, FeatureReader]:
    temperature = run.job.card.output.temperature
    return {name: FeatureReader(flatbuffer, temperature) for name, flatbuffer in files.items()}


def _labelled(run: StudyRun, read: Read) -> Labelled:
    return Labelled(read.outputs, np.array([run.labels.index(label) for label in read.labels], np.int64))


def _cost(run: StudyRun, answers: FileAnswers, output: Path) -> FileCost:
    """Return what the run's int8 file takes."""
    path = next((output / "files").glob(f"{run.name}-*-int8.tflite"))
    features = answers.training.outputs.features.shape[1]
    counts = np.bincount(answers.training.truth).tolist()
    return FileCost(run.name, path.stat().st_size, inspect(path).macs, features, tuple(counts))


if __name__ == "__main__":
    main()
