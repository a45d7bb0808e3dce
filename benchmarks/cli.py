"""edge-benchmark: how fast, how large and how right is each model file, on this machine?"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..edge.classifier import Classifier, load_classifiers
from ..edge.console import (
    CONTEXT,
    INTERRUPTED,
    Command,
    foreign_model_options,
    print_json,
    print_table,
    say,
    version_option,
)
from ..edge.errors import BenchmarkError, DatasetError, EdgeClassifyError, OutputExistsError
from ..edge.files import refuse_to_overwrite, require_writable, write_atomically
from ..edge.labels import read_label_file
from ..edge.modelfile import ModelFile, Normalization
from ..edge.progress import progress
from ..edge.proportions import wilson_interval
from ..edge.runtime import MAX_THREADS
from .host import describe_host
from .labelled import labelled_images
from .latency import measure_latency
from .predict import predict_images, true_indices
from .split import LabelledImage

Record = dict[str, Any]


@click.command(cls=Command, context_settings=CONTEXT)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Labelled images to measure accuracy on: class folders, or a run of edge-train, whose test "
    "images are taken.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Timed runs of each model.  [default: at least 100, until the median is stable]",
)
@click.option(
    "--threads",
    type=click.IntRange(1, MAX_THREADS),
    default=1,
    show_default=True,
    help="Threads of the interpreter.",
)
@foreign_model_options
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the results to this file too, as JSON lines.",
)
@click.option("--force", is_flag=True, help="Replace the --output file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file.")
@version_option()
def main(
    files: tuple[Path, ...],
    data: Path | None,
    runs: int | None,
    threads: int,
    labels: Path | None,
    normalization: Normalization | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure latency, memory and size of model files, and with --data their accuracy.

    Each model runs in a process of its own. Median, p90 and p99 are of single inferences after a
    warm-up; peak memory is the whole process's, Python included.
    """
    if data is None and (labels or normalization):
        raise click.UsageError(
            "--labels and --normalization are for measuring accuracy: they go with --data."
        )
    if output is not None:
        _check_output(output, files, force)
    load = partial(
        load_classifiers, labels=read_label_file(labels) if labels else None, normalization=normalization
    )
    images = labelled_images(data)[0] if data is not None else None
    records, status = _measure_all(files, threads, runs)
    if images is not None and records and status != INTERRUPTED:
        try:
            status = _add_accuracy(records, images, load) or status
        except KeyboardInterrupt:
            say("Interrupted: the accuracy was not measured")
            status = INTERRUPTED
        except EdgeClassifyError as error:
            say(f"Error: {error}. The accuracy was not measured")
            status = 1
    host = describe_host()
    records = [{**record, "host": host} for record in records]
    if as_json:
        for record in records:
            print_json(record)
    elif records:
        _print_results(records)
    if output is not None and records:
        write_atomically(output, "".join(json.dumps(record) + "\n" for record in records))
    raise click.exceptions.Exit(status)


def _check_output(output: Path, files: Sequence[Path], force: bool) -> None:
    refuse_to_overwrite(output, force)
    require_writable(output)
    if output.resolve() in {path.resolve() for path in files}:
        raise OutputExistsError(f"--output {output} is one of the models to measure. Name another")


def _measure_all(files: Sequence[Path], threads: int, runs: int | None) -> tuple[list[Record], int]:
    """Return a record a file that could be measured, and the exit status; Ctrl-C keeps what is done."""
    records: list[Record] = []
    status = 0
    try:
        with progress("measuring", len(files), "models") as advance:
            for path in files:
                try:
                    records.append(_measure(path, threads, runs))
                except EdgeClassifyError as error:
                    say(f"Error: {error}")
                    status = 1
                advance(note=path.name)
    except KeyboardInterrupt:
        say(f"Interrupted: {len(records)} of {len(files)} files were measured")
        status = INTERRUPTED
    return records, status


def _measure(path: Path, threads: int, runs: int | None) -> Record:
    card = ModelFile.read(path).card
    latency = measure_latency(path, threads, runs)
    return {
        "file": str(path),
        "variant": card.conversion.variant if card and card.conversion else None,
        "threads": threads,
        **vars(latency),
        "size_bytes": path.stat().st_size,
        "top1": None,
        "top1_ci95": None,
    }


def _add_accuracy(
    records: Sequence[Record],
    images: Sequence[LabelledImage],
    load: Callable[[Sequence[Path]], list[Classifier]],
) -> int:
    """Fill in top-1 of every record; return the exit status, 1 when images could not be read."""
    paths = [Path(record["file"]) for record in records]
    names = [classifier.labels for classifier in load(paths)]
    for record, known in zip(records, names, strict=True):
        _check_classes(record["file"], images, known)
    predictions = predict_images(partial(load, paths), images, "scoring")
    for file in predictions.skipped:
        say(f"skipped {file.reason}")
    if not predictions.images:
        raise BenchmarkError("None of the images of --data can be read")
    for record, known, probabilities in zip(records, names, predictions.probabilities, strict=True):
        truth = true_indices(predictions.images, known)
        right = int((probabilities.argmax(1) == truth).sum())
        record["top1"] = right / len(truth)
        record["top1_ci95"] = wilson_interval(right, len(truth))
    return 1 if predictions.skipped else 0


def _check_classes(file: str, images: Sequence[LabelledImage], labels: tuple[str, ...]) -> None:
    unknown = sorted({image.label for image in images} - set(labels))
    if unknown:
        raise DatasetError(
            f"--data has classes that {file} does not know: {', '.join(unknown[:5])}"
            f"{' and more' if len(unknown) > 5 else ''}. It knows: {', '.join(labels[:10])}"
            f"{' and more' if len(labels) > 10 else ''}"
        )


def _print_results(records: Sequence[Record]) -> None:
    host, first = records[0]["host"], records[0]
    machine = f"{host['board'] or host['processor']}, {host['cores']} cores"
    title = f"{machine}, {first['runtime']}, threads: {first['threads']}"
    columns = ["file", "size", "load", "first", "median", "p90", "p99", "peak memory"]
    measured = any(record["top1"] is not None for record in records)
    rows = []
    for r in records:
        peak = "unknown" if r["peak_rss_mb"] is None else f"{r['peak_rss_mb']:.0f} MB"
        row = [Path(r["file"]).name, f"{r['size_bytes'] / 1e6:.2f} MB"]
        row += [f"{r[key]:.2f} ms" for key in ("load_ms", "first_ms", "median_ms", "p90_ms", "p99_ms")] + [
            peak
        ]
        if measured:
            low, high = r["top1_ci95"]
            row += [f"{r['top1']:.2%}", f"{low:.1%} to {high:.1%}"]
        rows.append(row)
    print_table(title, [*columns, *(["top-1", "95 % interval"] if measured else [])], rows)
