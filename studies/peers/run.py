"""Usage: python -m studies.peers.run [--model FILE.keras] [--photos FOLDER]

Claim: the manual's tables of the same model and the same pictures in other runtimes, measured in turn in one
run.

Each runtime is installed in its own virtual environment under --build (some 2 GB, the first time), in the
version that requirements/ pins; tf.lite and Keras run in this Python. The tables go to stdout as Markdown,
with machine, date and versions, and the rows where another is faster. A runtime that cannot be installed is
left out, and the notes say why.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from edge_classify.benchmarks.host import describe_host
from edge_classify.edge.console import CONTEXT, INTERRUPTED, Command, say
from edge_classify.edge.errors import OptionError
from edge_classify.edge.files import refuse_to_overwrite, require_writable, write_atomically

from studies.peers import photos, turns
from studies.peers.catalogue import PEERS
from studies.peers.environments import ROOT
from studies.peers.figures import Figures, summarize
from studies.peers.preparation import (
    Work,
    class_names,
    default_model,
    describe_keras,
    prepare,
    prepare_peers,
)
from studies.peers.table import Setting, to_markdown

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_KEYS = [peer.key for peer in PEERS]


@click.command(cls=Command, context_settings=CONTEXT, help=__doc__)
@click.option(
    "--model",
    type=_FILE,
    metavar="FILE.keras",
    help="A Keras model that takes pixels 0..255, as edge-train's do. [default: MobileNetV2, 224x224]",
)
@click.option(
    "--weights",
    metavar="imagenet|none|FILE.h5",
    help="Of the default model. Keras downloads imagenet, the default; with none the speed is the same.",
)
@click.option(
    "--photos",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of class folders, or a run of edge-train. [default: pictures made here]",
)
@click.option(
    "--labels",
    type=_FILE,
    metavar="FILE",
    help="The class folders' names in the order of the outputs. [default: the card's, or sorted]",
)
@click.option("--images", type=click.IntRange(20), default=500, show_default=True, help="How many to answer.")
@click.option(
    "--timed-photos",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="How many of them are timed from file to label.",
)
@click.option(
    "--rounds", type=click.IntRange(2), default=15, show_default=True, help="Turns of each runtime."
)
@click.option(
    "--block", type=click.FloatRange(0.01), default=0.3, show_default=True, help="Seconds of a turn."
)
@click.option("--cold-starts", type=click.IntRange(1), default=5, show_default=True, help="Of each runtime.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option(
    "--only",
    type=click.Choice(_KEYS),
    metavar="NAME",
    multiple=True,
    help=f"Only these; may be repeated: {', '.join(_KEYS)}.",
)
@click.option(
    "--build",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "build" / "peers",
    help="Where environments and converted models are kept. [default: build/peers]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.jsonl",
    help="Write all figures, a line for each row.",
)
@click.option("--force", is_flag=True, help="Replace --output.")  # fmt: skip
def main(
    model: Path | None, weights: str | None, folder: Path | None, labels: Path | None, images: int,
    timed_photos: int, rounds: int, block: float, cold_starts: int, threads: int, only: tuple[str, ...],
    build: Path, output: Path | None, force: bool,
) -> None:  # fmt: skip
    """Prepare, measure, and print."""
    if model is not None and weights is not None:
        raise OptionError(
            f"--weights is for the default model, and --model names another. Received: {weights}"
        )
    if output is not None:
        refuse_to_overwrite(output, force)
        require_writable(output)
    build = build.resolve()
    chosen = [peer for peer in PEERS if not only or peer.key in only]
    pictures = photos.choose(folder, images) if folder else photos.generate(build / "pictures", images)
    keras = describe_keras(model or default_model(weights or "imagenet", build))
    names = class_names(labels, keras, pictures)
    work = prepare(keras, pictures, names, build, chosen)
    measurements = prepare_peers(work, chosen, threads, build)
    interrupted = _measure(
        measurements, work, pictures.measured[:timed_photos], turns.Amount(rounds, block, cold_starts)
    )
    truth = None if weights == "none" else photos.true_indices(pictures.truths, names)
    rows = summarize(measurements, truth)
    setting = Setting(
        host=describe_host(),
        date=datetime.date.today().isoformat(),
        threads=threads,
        model=model.name if model else f"MobileNetV2 1.0 at 224x224 with {_weights(weights)} weights",
        pictures=_describe(folder, pictures, truth is not None),
        rounds=max((len(measurement.blocks) for measurement in measurements), default=0),
    )
    if output is not None:
        _write(output, rows, setting)
    click.echo(to_markdown(rows, setting), nl=False)
    if interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


def _measure(
    measurements: Sequence[turns.PeerMeasurement], work: Work, timed: Sequence[Path], amount: turns.Amount
) -> bool:
    """Measure everything; return whether Ctrl-C ended it, which keeps the whole rounds before it."""
    try:
        with turns.opened(measurements) as processes:
            turns.measure_blocks(measurements, processes, amount)
            turns.measure_photos(measurements, processes, timed, amount)
            turns.ask_answers(measurements, processes, work.pixels)
        turns.measure_cold_starts(measurements, timed[0], amount)
    except KeyboardInterrupt:
        say("Interrupted: what was measured so far follows")
        return True
    finally:
        turns.keep_whole_rounds(measurements)
    return False


def _weights(given: str | None) -> str:
    return {None: "ImageNet", "imagenet": "ImageNet", "none": "random"}.get(given, Path(given or "").name)


def _describe(folder: Path | None, pictures: photos.Photos, scored: bool) -> str:
    count = len(pictures.measured)
    if folder is None:
        return f"{count} pictures made by the script, which show nothing: for accuracy give --photos"
    unscored = "" if scored else " (no accuracy: the model's outputs are not these classes)"
    return f"{count} photos of {folder.resolve().name}{unscored}"


def _write(output: Path, rows: Sequence[Figures], setting: Setting) -> None:
    common = asdict(setting)
    write_atomically(output, "".join(json.dumps({**row.to_record(), **common}) + "\n" for row in rows))


if __name__ == "__main__":
    main()
