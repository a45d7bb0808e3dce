"""Trains one rival in a process of its own: python -m studies.rivals.training KEY FOLDER --output FOLDER

It gets the folder of the training images, and no other. Leaves model.tflite and training.json there.
"""

from __future__ import annotations

import json
import time

BEGAN = time.perf_counter()  # Before TensorFlow is loaded, as a user waits for it, too.

from pathlib import Path  # noqa: E402

import click  # noqa: E402
from edge_classify.edge.files import write_atomically  # noqa: E402
from edge_classify.edge.labelled import scan_class_folders  # noqa: E402

from studies.rivals.catalogue import KEYS, find_rival  # noqa: E402

MODEL, RECORD = "model.tflite", "training.json"


@click.command(help=__doc__)
@click.argument("key", type=click.Choice(KEYS))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", required=True, help="One of studies.rivals.network.WEIGHTS.")
@click.option("--seed", type=int, required=True)
@click.option("--output", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
def main(key: str, folder: Path, weights: str, seed: int, output: Path) -> None:
    """Train, convert, and write."""
    found = scan_class_folders(folder)
    images = found.images(found.evaluation_subset)
    rival = find_rival(key)
    import keras

    keras.utils.set_random_seed(seed)
    model = rival.train(images, found.labels, weights, seed)
    seconds = time.perf_counter() - BEGAN
    write_atomically(output / MODEL, rival.convert(model, images, seed))
    record = {"seconds": seconds, "labels": found.labels, "images": len(images)}
    write_atomically(output / RECORD, json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
