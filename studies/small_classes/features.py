"""Features of a frozen network for the photos of a set, those that train and those that answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from edge_classify.edge.card import Preprocess
from edge_classify.edge.labelled import scan_class_folders
from edge_classify.train.activations import cut_activations
from edge_classify.train.cache import Cache
from edge_classify.train.dataset import Examples
from edge_classify.train.hyperparameters import Hyperparameters
from edge_classify.train.models import Architecture, build_to_train
from edge_classify.train.options import DEFAULT_DROPOUT, UNMEASURED_AUGMENTATIONS
from edge_classify.train.phases import Phase
from edge_classify.train.pixels import choose_image_size, decode_images, typical_side
from edge_classify.train.task import Task
from numpy.typing import NDArray

from studies.recipes.held_out import StudyPhotos

# Those of the first phase of edge-train, in which the head alone is trained; but two views instead of six.
RECIPE = Hyperparameters(
    epochs=(20, 0),
    learning_rate=(2e-3, 0.0),
    optimizer="adamw",
    schedule="cosine",
    warmup=0.1,
    weight_decay=0.1,
    label_smoothing=0.0,
    batch_size=32,
    fine_tune_layers=0,
    batch_norm="frozen",
    dropout=DEFAULT_DROPOUT,
    augment=UNMEASURED_AUGMENTATIONS,
    mix="none",
    views=2,
    imbalance="none",
    patience=None,
    refit_epochs=0,
    compute="float32",
)
_SEED = 0


@dataclass(frozen=True)
class SetFeatures:
    """Pooled features of a set, float32.

    `views` are those of the photos that train, [views, photos, features], of which the first is the photo
    itself and the others are augmented; `held_out` those of the photos that answer, [photos, features].
    `truth` and `held_truth` are classes, int64 [photos].
    """

    name: str
    labels: tuple[str, ...]
    views: NDArray[np.float32]
    truth: NDArray[np.int64]
    held_out: NDArray[np.float32]
    held_truth: NDArray[np.int64]


def compute_features(photos: StudyPhotos, model: str, cache: Cache) -> SetFeatures:
    """Return the features of the network `model` with its ImageNet weights; `cache` keeps them.

    The input size and the augmented views are those of edge-train, without mirroring.
    """
    found = scan_class_folders(photos.folder)
    train, held = found.images("train"), found.images("test")
    paths = [image.path for image in (*train, *held)]
    size = choose_image_size(model, typical_side(paths))
    pixels = decode_images(photos.folder, paths, {size}, Preprocess(), cache).pixels[size]
    truth = np.array([found.labels.index(image.label) for image in (*train, *held)], np.int64)
    built = build_to_train(
        Architecture(model, size, len(found.labels), "imagenet", 1.0, 0, DEFAULT_DROPOUT), "float32", _SEED
    )
    assert built.base is not None
    rows = np.arange(len(paths))
    first, second = rows[: len(train)], rows[len(train) :]
    task = Task(
        built=built,
        train=Examples(pixels, first, truth[first]),
        validation=Examples(pixels, second, truth[second]),
        classes=len(found.labels),
        hyperparameters=RECIPE,
        seed=_SEED,
        cache=cache,
        checkpoint=cache.root / "checkpoint.npz",  # Never written: the head is trained without Keras.
    )
    layers = len(built.base.layers)
    cut = cut_activations(
        task, Phase(1, RECIPE.epochs[0], RECIPE.learning_rate[0], layers, normalizing=False)
    )
    assert cut is not None  # Everything but the head is frozen, and its output is small.
    return SetFeatures(
        photos.name,
        found.labels,
        np.asarray(cut.table.values[cut.table.place]),
        truth[first],
        np.asarray(cut.validation.values[cut.validation.place[0]]),
        truth[second],
    )


def open_folder(folder: Path) -> Cache:
    """Return a cache of pixels and features in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Cache(folder.resolve(), 20 * 10**9)
