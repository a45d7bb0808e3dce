"""Usage: python studies/collapse.py RUN OUTPUT --where first --factor 100 --channels 3

Claim: edge-convert notices a model whose 8-bit form collapses, finds the layers, and repairs them.

Writes a copy of RUN, a run of edge-train, to OUTPUT, with a changed mobilenet_v2, or cnn. Its float answers
are the same, but a few channels between two layers are multiplied by a factor, which the weights that read
them undo: so the ranges are too large for 8 bits. Then try: edge-convert OUTPUT, and edge-convert --doctor.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from edge_classify.convert.quiet import import_tensorflow
from edge_classify.edge.quiet import silenced

# The layers that write to a chain of residual additions, and those that read from it.
CHAINS = {
    "first": (("expanded_conv_project_BN",), ("block_1_expand",)),
    "b1": (("block_1_project_BN", "block_2_project_BN"), ("block_2_expand", "block_3_expand")),
    "b6": (
        tuple(f"block_{number}_project_BN" for number in (6, 7, 8, 9)),
        tuple(f"block_{number}_expand" for number in (7, 8, 9, 10)),
    ),
    "last": (("block_16_project_BN",), ("Conv_1",)),
}
_IMAGES = 32
_TOLERANCE = 1e-3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--model", "name", type=click.Choice(["mobilenet_v2", "cnn"]), default="mobilenet_v2",
              show_default=True, help="Whose channels.")  # fmt: skip
@click.option("--where", default="first", show_default=True, metavar="A,B,...",
              help=f"Places in the network: {', '.join(CHAINS)}; of a cnn only first.")  # fmt: skip
@click.option("--factor", type=click.FloatRange(1), default=100.0, show_default=True,
              help="What the channels are multiplied by.")  # fmt: skip
@click.option("--channels", type=click.IntRange(1), default=3, show_default=True,
              help="How many, in each place.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which channels.")
def main(run: Path, output: Path, name: str, where: str, factor: float, channels: int, seed: int) -> None:
    """Copy RUN to OUTPUT, with a model that 8 bits cannot hold."""
    source = run / name / "model.keras"
    places = where.split(",")
    known = list(CHAINS) if name == "mobilenet_v2" else ["first"]
    if not source.is_file():
        raise click.ClickException(f"{run} holds no {name}/model.keras: train one with edge-train")
    if unknown := set(places) - set(known):
        raise click.BadParameter(f"must be of {', '.join(known)}. Received: {', '.join(sorted(unknown))}")
    if output.exists():
        raise click.ClickException(f"{output} exists, and is not replaced. Name another one")
    with silenced(show_on_error=True):
        model, change = _change(source, name, places, factor, channels, seed)
    if change > _TOLERANCE:
        raise click.ClickException(f"The float answers changed by up to {change:.4f}: that is no fair test")
    shutil.copytree(run, output, ignore=shutil.ignore_patterns(".unfinished"))
    model.save(output / name / "model.keras")
    click.echo(f"{output}: float answers changed by at most {change:.1e} on {_IMAGES} random images")


def _change(
    source: Path, name: str, places: list[str], factor: float, channels: int, seed: int
) -> tuple[Any, float]:
    """Return the changed model, and how far its answers to random images have moved."""
    _, keras = import_tensorflow("this study", "train")
    model = keras.models.load_model(source, compile=False)
    images = (
        np.random.default_rng(seed).integers(0, 256, (_IMAGES, *model.input_shape[1:])).astype(np.float32)
    )
    before = model.predict(images, verbose=0)
    for place in places:
        writers, readers = _first_layers(model) if name == "cnn" else _chain(model, place)
        _enlarge(writers, readers, factor, channels, seed)
    return model, float(np.abs(model.predict(images, verbose=0) - before).max())


def _chain(model: Any, place: str) -> tuple[list[Any], list[Any]]:
    """Return the writers and readers of a place in MobileNetV2: edge-train puts it inside another one."""
    backbone = next((layer for layer in model.layers if hasattr(layer, "layers")), model)
    writers, readers = CHAINS[place]
    return [backbone.get_layer(name) for name in writers], [backbone.get_layer(name) for name in readers]


def _first_layers(cnn: Any) -> tuple[list[Any], list[Any]]:
    """Return a cnn's first normalization and the convolution behind it; a ReLU between them keeps factors."""
    norms = [layer for layer in cnn.layers if hasattr(layer, "gamma")]
    convolutions = [
        layer for layer in cnn.layers if hasattr(layer, "kernel_size") and not hasattr(layer, "pool_size")
    ]
    return norms[:1], convolutions[1:2]


def _enlarge(writers: list[Any], readers: list[Any], factor: float, channels: int, seed: int) -> None:
    width = int(writers[0].gamma.shape[0])
    chosen = np.random.default_rng(seed).permutation(width)[:channels]
    for layer in writers:
        gamma, beta, mean, variance = layer.get_weights()
        gamma[chosen] *= factor
        beta[chosen] *= factor
        layer.set_weights([gamma, beta, mean, variance])
    for layer in readers:
        kernel, *rest = layer.get_weights()
        kernel[:, :, chosen, :] /= factor
        layer.set_weights([kernel, *rest])


if __name__ == "__main__":
    sys.exit(main())
