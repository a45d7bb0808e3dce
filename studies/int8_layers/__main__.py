"""Usage: python -m studies.int8_layers NAME=MODEL=DATA ... [--views 4]

Claim: corrected biases and learned rounding bring int8 closer to its float model, at the same size and speed.

MODEL is a model's folder in a run of edge-train, and DATA where the run's images are; or one of Keras's own,
such as keras:mobilenet_v2, and a folder of class folders in the order of its classes. Each model is quantized
by TensorFlow alone, on 100 images and on two of each class; then its biases are corrected, and its rounding
learned as well; then by litert-quantizer, as edge-convert does it, and with another rule for ranges.

Test images report. Of each, further views are answered too, random parts of 75 to 100 % of its sides, so that
enough answers are compared. Photos for a model of Keras's own are of its training set: every second one
calibrates, the others report. Printed is a Markdown table; seconds are of the processor, in all threads.
Intervals of the loss are exact, paired, 95 %, and count each photo once, without its views.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
from edge_classify.benchmarks.scoring.predict import read_pixels, true_indices
from edge_classify.convert.calibration import usual_count
from edge_classify.convert.job_tools import choose_calibration
from edge_classify.convert.quiet import import_tensorflow
from edge_classify.convert.recipes import FLOAT32, INT8_FLOAT_IO
from edge_classify.convert.repair.answers import answer, divergence
from edge_classify.convert.sources.job import JobImages, ModelSource
from edge_classify.convert.sources.jobs import find_jobs
from edge_classify.convert.tflite.correction import Correction
from edge_classify.convert.tflite.flatgraph import repack
from edge_classify.convert.tflite.quantizer import LayerQuantizer
from edge_classify.convert.tflite.ranges import Clip, observe
from edge_classify.edge.statistics.paired_loss import largest_loss, smallest_loss
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
_BEFORE = 100
_LEVEL = 0.975  # On each side.
_HEADER = (
    "| set | method | top-1, float | points lost (95 %) | same answer | same, with views | divergence, nats "
    "| s | MB |"
)


@dataclass(frozen=True)
class Case:
    """A model with the pictures that calibrate and those that report; `convert` makes int8 by TensorFlow."""

    name: str
    float_model: bytes
    convert: Callable[[int], bytes]
    calibration: Pixels
    pictures: Pixels
    truth: NDArray[np.int64]
    views: Pixels


@click.command(help=__doc__)
@click.argument("cases", nargs=-1, required=True)
@click.option("--views", default=4, show_default=True, help="Further views of each test image.")
@click.option("--most", default=1500, show_default=True, help="Test images at most.")
def main(cases: tuple[str, ...], views: int, most: int) -> None:
    """Print the table."""
    import_tensorflow("This study", "convert")
    click.echo(_HEADER)
    click.echo("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for named in cases:
        name, model, data = named.split("=")
        case = _read_case(name, model, Path(data), views, most)
        for method, make in _methods(case):
            began = time.process_time()
            flatbuffer = make()
            seconds = time.process_time() - began
            click.echo(_row(case, method, flatbuffer, seconds))


def _read_case(name: str, model: str, data: Path, views: int, most: int) -> Case:
    if ":" in model:
        job = find_jobs(ModelSource(Path(model), calibration=data), None)[0]
        images = sorted(job.images.calibration, key=lambda image: image.path)
        calibrating, reporting = images[::2], images[1::2]
        truth = np.arange(1, len(images), 2)
    else:
        job = find_jobs(ModelSource(Path(model), data=data), None)[0]
        calibrating, reporting = job.images.calibration, job.images.evaluation[:most]
        truth = true_indices(reporting, job.card.labels)
    network = cast("Any", job.load())
    count = usual_count(len(job.card.labels))
    card = job.card
    pictures = np.stack([read_pixels(image, card.input, card.preprocess) for image in reporting])
    use = JobImages(calibrating, job.images.calibrated_with, [], reporting, "")
    calibrated = replace(job, images=use)
    chosen = {n: choose_calibration(calibrated, n) for n in {_BEFORE, count}}
    return Case(
        name,
        network.make(FLOAT32, None),
        lambda number: repack(network._convert(INT8_FLOAT_IO, chosen[number])),
        np.stack(list(chosen[count].read())),
        pictures,
        truth,
        np.stack(list(_views(pictures, views))),
    )


def _views(pictures: Pixels, number: int) -> Iterator[Pixels]:
    rng = np.random.default_rng(0)
    for pixels in pictures:
        height, width = pixels.shape[:2]
        for _ in range(number):
            wide, high = width * rng.uniform(0.75, 1), height * rng.uniform(0.75, 1)
            left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
            box = (left, top, left + wide, top + high)
            yield np.asarray(
                Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, box=box)
            )


def _methods(case: Case) -> Iterator[tuple[str, Callable[[], bytes]]]:
    count = len(case.calibration)
    made = {number: case.convert(number) for number in {_BEFORE, count}}
    yield f"TensorFlow's quantizer, {_BEFORE} images", lambda: case.convert(_BEFORE)
    if count != _BEFORE:
        yield f"{count} images", lambda: case.convert(count)
    for words, rounding in (("biases corrected", False), ("rounding learned too", True)):
        yield f"+ {words}", lambda rounding=rounding: _corrected(case, made[count], rounding)  # type: ignore[misc]
    for clip in ("none", "mse"):
        quantized = _quantize(case, clip)
        rule = "all values" if clip == "none" else "least squared error"
        yield (
            f"litert-quantizer, ranges of {rule}, biases and rounding",
            lambda quantized=quantized: _corrected(case, quantized, True),  # type: ignore[misc]
        )


def _corrected(case: Case, quantized: bytes, rounding: bool) -> bytes:
    return Correction(case.float_model, lambda: iter(case.calibration), rounding=rounding).apply(quantized)


def _quantize(case: Case, clip: Clip) -> bytes:
    ranges = observe(case.float_model, islice(case.calibration, 2 * _BEFORE))
    quantizer = LayerQuantizer(case.float_model, ranges, clip)
    return quantizer.quantize([layer.index for layer in quantizer.layers])


def _row(case: Case, method: str, flatbuffer: bytes, seconds: float) -> str:
    reference, answers = answer(case.float_model, case.pictures), answer(flatbuffer, case.pictures)
    seen, theirs = answer(case.float_model, case.views), answer(flatbuffer, case.views)
    model, file = reference.argmax(1) == case.truth, answers.argmax(1) == case.truth
    lost, won, images = int((model & ~file).sum()), int((file & ~model).sum()), len(model)
    low, high = (bound(lost, won, images, _LEVEL) * 100 for bound in (smallest_loss, largest_loss))
    same = (reference.argmax(1) == answers.argmax(1)).mean()
    alike = np.concatenate([reference.argmax(1) == answers.argmax(1), seen.argmax(1) == theirs.argmax(1)])
    return (
        f"| {case.name} ({images:,}) | {method} | {model.mean():.1%} "
        f"| {(lost - won) / images * 100:.2f} ({low:.2f} to {high:.2f}) | {same:.2%} "
        f"| {alike.mean():.2%} of {len(alike):,} | {divergence(reference, answers):.4f} | {seconds:.0f} "
        f"| {len(flatbuffer) / 1e6:.2f} |"
    )


if __name__ == "__main__":
    main()
