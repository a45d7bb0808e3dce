"""Usage: python studies/golden.py MODEL.tflite... --photos FOLDER

Claim: the drawn patterns that travel in a file show what a runtime does wrongly at least as surely as two
photos do.

For each file of edge-convert, two patterns and two photos are chosen as edge-convert does, the photos out of
the first ten of FOLDER. Then the pixels are changed, by the faults that patterns are chosen by and by others
that they are not (marked with *); and each layer of the model is broken in three ways, as a wrong kernel
would do: one output channel is 0, filters are upside down, the bias is missing. A fault is noticed where a
probability of an example is off by more than its tolerance, and --self-check would fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from edge_classify.convert.golden import FAULTS, PHOTOS_CHOSEN_FROM, Fault, choose_patterns, choose_photos
from edge_classify.convert.recipes import RECIPES
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.image import load_input
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.sources.paths import find_images
from edge_classify.edge.tflite.model import EditableModel
from edge_classify.edge.tflite.sealing import Golden, seal
from numpy.typing import NDArray

OTHERS = (
    Fault("all colours are turned by one", lambda pixels: np.roll(pixels, 1, axis=2)),
    Fault("8 levels brighter", lambda pixels: np.minimum(pixels, 247) + np.uint8(8)),
    Fault("gamma 0.8", lambda pixels: (255 * (pixels / 255) ** 0.8).round().astype(np.uint8)),
    Fault("rows and columns exchanged", lambda pixels: np.resize(pixels.transpose(1, 0, 2), pixels.shape)),
    Fault("one pixel to the right", lambda pixels: np.roll(pixels, 1, axis=1)),
)
BREAKS: dict[str, Callable[[NDArray[np.generic]], NDArray[np.generic]]] = {
    "one channel is 0": lambda weights: _with_zeros(weights, -1 if weights.shape[0] == 1 else 0),
    "filters upside down": lambda weights: weights[:, ::-1] if weights.ndim == 4 else weights,
    "the bias is missing": lambda weights: np.zeros_like(weights) if weights.ndim == 1 else weights,
}
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def _with_zeros(weights: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
    """Return weights whose first channel along an axis is 0; biases stay."""
    changed = weights.copy()
    if weights.ndim > 1:
        np.moveaxis(changed, axis, 0)[0] = 0
    return changed


def broken(flatbuffer: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each way to break a layer, and the model with that layer broken, where it changes the weights."""
    graph = EditableModel(flatbuffer).graph
    for operator in graph.operators:
        if operator.name not in _LAYERS:
            continue
        for words, change in BREAKS.items():
            model = EditableModel(flatbuffer)
            changed = False
            for index in operator.inputs[1:3]:
                tensor = graph.tensors[index]
                if index >= 0 and model.is_constant(tensor):
                    values = model.constant(tensor).reshape(tensor.shape)
                    after = change(values)
                    changed |= not np.array_equal(values, after)
                    model.set_constant(tensor, np.ascontiguousarray(after))
            if changed:
                yield words, model.to_bytes()


def notices(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], examples: Sequence[Golden]) -> bool:
    """Return whether an example's probabilities are off by more than its tolerance."""
    return any(
        float(np.abs(run(example.pixels) - example.expected).max()) > example.tolerance
        for example in examples
    )


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--photos", required=True, type=click.Path(exists=True, path_type=Path))
def main(models: tuple[Path, ...], photos: Path) -> None:
    """Say for each model which faults two patterns and two photos notice."""
    for path in models:
        data, file = path.read_bytes(), ModelFile.read(path)
        card = file.card
        if card is None or card.conversion is None:
            raise click.ClickException(f"{path} was not made by edge-convert")
        tolerance = RECIPES[card.conversion.variant].tolerance
        images = find_images([photos], recursive=True)[:PHOTOS_CHOSEN_FROM]
        pixels = [load_input(image, card.input, card.preprocess) for image in images]
        sets = {
            "patterns": choose_patterns(data, tolerance).examples,
            "photos": choose_photos(data, pixels, tolerance).examples,
        }
        classifier = Classifier(file)
        click.echo(f"{path.name}\n  {'fault':<45}{'patterns':>10}{'photos':>10}")
        for fault in (*FAULTS, *OTHERS):
            words = fault.words + " *" * (fault in OTHERS)
            seen = [notices(_fed(classifier, fault), examples) for examples in sets.values()]
            click.echo(f"  {words:<45}" + "".join(f"{'noticed' if one else 'no':>10}" for one in seen))
        counts = {words: [0, 0, 0] for words in BREAKS}
        for words, flatbuffer in broken(data[: file.zip_offset]):
            other = Classifier(ModelFile.read(seal(flatbuffer, card)))
            counts[words][2] += 1
            for place, examples in enumerate(sets.values()):
                counts[words][place] += notices(_fed(other, None), examples)
        for words, (patterns, ours, layers) in counts.items():
            click.echo(f"  {f'{words}: of {layers} layers *':<45}{patterns:>10}{ours:>10}")


def _fed(classifier: Classifier, fault: Fault | None) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        given = fault.change(pixels) if fault else pixels
        return classifier.classify_pixels(np.ascontiguousarray(given)).probabilities

    return run


if __name__ == "__main__":
    main()
