"""Prepares the files of all peers from one Keras model and one set of pictures."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_classify.edge.card import ModelCard
from edge_classify.edge.console import say
from edge_classify.edge.files import write_atomically
from edge_classify.edge.labels import read_label_file

from studies.peers import formats, photos
from studies.peers.catalogue import Peer
from studies.peers.environments import (
    Environment,
    call,
    child_variables,
    digest,
    environment,
    own_environment,
)
from studies.peers.errors import PeerError
from studies.peers.turns import PeerMeasurement


@dataclass(frozen=True)
class KerasModel:
    """A .keras file that takes pixels 0..255; `size` is the input's width and height."""

    path: Path
    size: tuple[int, int]
    classes: int


@dataclass(frozen=True)
class Work:
    """The files for all peers: `pixels` is a .npy file of the pictures, `files` the model in each format.

    `labels` name the model's outputs in order; empty where they are unknown.
    """

    keras: KerasModel
    labels: tuple[str, ...]
    pixels: Path
    files: formats.Files


def default_model(weights: str, build: Path) -> Path:
    """Return MobileNetV2 as a .keras file, made where it is missing; raises PeerError, naming --weights."""
    given = Path(weights)
    contents = hashlib.sha256(given.read_bytes()).hexdigest() if given.is_file() else weights
    path = build / "models" / f"mobilenet_v2-{digest(contents)}.keras"
    if not path.is_file():
        say("Making the Keras model")
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished.keras")
        try:
            call([sys.executable, formats.SCRIPTS / "make_keras.py", unfinished, weights])
        except PeerError as error:
            raise PeerError(
                f"The default model cannot be made ({error}). Give --weights FILE.h5 or none, or --model"
            ) from None
        unfinished.replace(path)
    return path


def describe_keras(path: Path) -> KerasModel:
    """Return the input's size and the number of classes; raises PeerError for a file that Keras refuses."""
    command = [sys.executable, str(formats.SCRIPTS / "describe_keras.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=child_variables(), check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise PeerError(f"{path} is not a Keras model that can be compared ({lines[-1]})")
    found = json.loads(done.stdout.splitlines()[-1])
    return KerasModel(path, (found["size"][0], found["size"][1]), found["classes"])


def class_names(given: Path | None, keras: KerasModel, pictures: photos.Photos) -> tuple[str, ...]:
    """Return the names of the model's outputs, in order.

    They come from the file `given`, or the card beside the model; else from the sorted names of the class
    folders, where there are as many as outputs, as in ImageNet. Empty where none of these is available.
    Raises LabelError or CardError for an unreadable file, PeerError for another number of labels.
    """
    card = keras.path.parent / "card.json"
    if given is not None:
        names = read_label_file(given)
    elif card.is_file():
        names = ModelCard.from_json(card.read_bytes()).labels
    else:
        return pictures.labels if len(pictures.labels) == keras.classes else ()
    if len(names) != keras.classes:
        raise PeerError(
            f"{given or card} must hold {keras.classes} labels, one for each output of the model. "
            f"Received: {len(names)}"
        )
    return names


def prepare(
    keras: KerasModel, pictures: photos.Photos, labels: tuple[str, ...], build: Path, chosen: Sequence[Peer]
) -> Work:
    """Write the pictures' pixels, and convert the model for each peer; files of former runs are reused."""
    calibration = digest(*(f"{path}{path.stat().st_mtime_ns}" for path in pictures.calibration))
    model = hashlib.sha256(keras.path.read_bytes()).hexdigest()[:12]
    kept = build / "models" / f"{model}-{calibration}"
    kept.mkdir(parents=True, exist_ok=True)
    names = labels or tuple(f"class {number}" for number in range(keras.classes))
    write_atomically(kept / "labels.txt", "\n".join(names) + "\n")
    photos.write_pixels(pictures.calibration, keras.size, kept / "calibration.npy")
    photos.write_pixels(pictures.measured, keras.size, kept / "pictures.npy")
    source = formats.Source(
        keras.path, keras.size, pictures.calibration, kept / "calibration.npy", kept / "labels.txt", build
    )
    files = formats.make_files(source, kept, {peer.file for peer in chosen})
    return Work(keras, labels, kept / "pictures.npy", files)


def prepare_peers(work: Work, chosen: Sequence[Peer], threads: int, build: Path) -> list[PeerMeasurement]:
    """Install the packages of each peer; where that fails, its measurement holds the reason."""
    found: dict[str, Environment | PeerError] = {}
    measurements = []
    for peer in chosen:
        measurement = PeerMeasurement(peer)
        measurements.append(measurement)
        key = peer.environment or " ".join(peer.packages)
        if key not in found:
            say(f"Checking the packages of {peer.title}")
            found[key] = _environment(peer, build)
        there, model = found[key], work.files[peer.file]
        for missing in (there, model):
            if isinstance(missing, PeerError) and measurement.failure is None:
                measurement.failure = str(missing)
        if isinstance(there, Environment) and isinstance(model, Path):
            measurement.set_command(there, model, threads, work.keras.size)
    return measurements


def _environment(peer: Peer, build: Path) -> Environment | PeerError:
    try:
        if peer.environment is None:
            return own_environment(peer.packages)
        return environment(peer.environment, build)
    except PeerError as error:
        return error
