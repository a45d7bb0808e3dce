"""Usage: python studies/collapse.py RUN OUTPUT --where first --factor 100 --channels 3

Claim: edge-convert notices a model whose 8-bit form collapses, finds the layers, and repairs them.

Writes a copy of RUN, a run of edge-train with a mobilenet_v2, to OUTPUT. Its float answers are the same, but
a few channels between two linear layers are multiplied by a factor, which the weights that read them undo:
so the ranges are too large for 8 bits. Then try: edge-convert OUTPUT, and edge-convert --doctor.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

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
@click.option("--where", default="first", show_default=True, metavar="A,B,...",
              help=f"Places in the network: {', '.join(CHAINS)}.")  # fmt: skip
@click.option("--factor", type=click.FloatRange(1), default=100.0, show_default=True,
              help="What the channels are multiplied by.")  # fmt: skip
@click.option("--channels", type=click.IntRange(1), default=3, show_default=True,
              help="How many, in each place.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which channels.")
def main(run: Path, output: Path, where: str, factor: float, channels: int, seed: int) -> None:
    """Copy RUN to OUTPUT, with a mobilenet_v2 that 8 bits cannot hold."""
    source = run / "mobilenet_v2" / "model.keras"
    places = where.split(",")
    if not source.is_file():
        raise click.ClickException(f"{run} holds no mobilenet_v2/model.keras: train one with edge-train")
    if unknown := set(places) - set(CHAINS):
        raise click.BadParameter(f"must be of {', '.join(CHAINS)}. Received: {', '.join(sorted(unknown))}")
    if output.exists():
        raise click.ClickException(f"{output} exists, and is not replaced. Name another one")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    model = keras.models.load_model(source, compile=False)
    images = (
        np.random.default_rng(seed).integers(0, 256, (_IMAGES, *model.input_shape[1:])).astype(np.float32)
    )
    before = model.predict(images, verbose=0)
    for place in places:
        _enlarge(_backbone(model), place, factor, channels, seed)
    change = float(np.abs(model.predict(images, verbose=0) - before).max())
    if change > _TOLERANCE:
        raise click.ClickException(f"The float answers changed by up to {change:.4f}: that is no fair test")
    shutil.copytree(run, output, ignore=shutil.ignore_patterns(".unfinished"))
    model.save(output / "mobilenet_v2" / "model.keras")
    click.echo(f"{output}: float answers changed by at most {change:.1e} on {_IMAGES} random images")


def _backbone(model: Any) -> Any:
    """Return the model that has the layers of MobileNetV2: edge-train puts it inside another one."""
    return next((layer for layer in model.layers if hasattr(layer, "layers")), model)


def _enlarge(backbone: Any, place: str, factor: float, channels: int, seed: int) -> None:
    writers, readers = CHAINS[place]
    width = int(backbone.get_layer(writers[0]).gamma.shape[0])
    chosen = np.random.default_rng(seed).permutation(width)[:channels]
    for name in writers:
        layer = backbone.get_layer(name)
        gamma, beta, mean, variance = layer.get_weights()
        gamma[chosen] *= factor
        beta[chosen] *= factor
        layer.set_weights([gamma, beta, mean, variance])
    for name in readers:
        layer = backbone.get_layer(name)
        kernel, *rest = layer.get_weights()
        kernel[:, :, chosen, :] /= factor
        layer.set_weights([kernel, *rest])


if __name__ == "__main__":
    sys.exit(main())
