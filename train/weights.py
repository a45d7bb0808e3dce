"""MobileNetV2 without its head, with ImageNet weights, weights from a file, or random ones."""

from __future__ import annotations

import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import keras

from ..edge.errors import OptionError, WeightsError
from .options import IMAGENET_ALPHAS

KINDS = ("imagenet", "none")


def build_base(weights: str, size: int, alpha: float) -> Any:
    """Return keras.applications.MobileNetV2 with pooled features, for input of `size` in -1..1.

    `weights` is "imagenet", "none" or a file. Raises WeightsError when the weights cannot be had,
    OptionError when there are none for this `alpha`.
    """
    kind = "imagenet" if weights == "imagenet" else None
    if kind and alpha not in IMAGENET_ALPHAS:
        widths = ", ".join(str(value) for value in IMAGENET_ALPHAS)
        raise OptionError(f"There are ImageNet weights for --alpha {widths}. Received: {alpha}")
    try:
        # Keras draws its download's progress on stdout, and warns of sizes that it has no weights for.
        with redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            base = keras.applications.MobileNetV2(
                input_shape=(size, size, 3), alpha=alpha, include_top=False, pooling="avg", weights=kind
            )
    except Exception as error:
        if not kind:
            raise
        # Keras raises a bare Exception when a download fails, and others for a damaged cache.
        raise WeightsError(
            f"The ImageNet weights cannot be loaded ({error}). Either connect to the internet once, so that "
            "Keras can keep them in ~/.keras/models; or copy them there from another machine; or give the "
            "file with --weights FILE; or start from random weights with --weights none"
        ) from error
    if weights not in KINDS:
        _load_file(base, Path(weights))
    return base


def _load_file(base: Any, path: Path) -> None:
    if not path.is_file():
        raise WeightsError(f"--weights {path}: no such file. Give a file, or one of: {', '.join(KINDS)}")
    if path.suffix != ".h5":
        raise WeightsError(f"--weights {path}: must be a Keras .h5 or .weights.h5 file of MobileNetV2")
    try:
        with warnings.catch_warnings():  # Keras warns of every part that a file lacks, and then raises.
            warnings.simplefilter("ignore", UserWarning)
            if not path.name.endswith(".weights.h5"):
                _require_layers(base, path)
                base.load_weights(path, by_name=True)
            else:
                base.load_weights(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"--weights {path} does not fit MobileNetV2 of this --alpha: {reason}") from error


def _require_layers(base: Any, path: Path) -> None:
    """Loading by name passes over what is missing without a word: raise ValueError instead."""
    import h5py

    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        stored = {name.decode() if isinstance(name, bytes) else name for name in group.attrs["layer_names"]}
    missing = [layer.name for layer in base.layers if layer.weights and layer.name not in stored]
    if missing:
        raise ValueError(f"it lacks {len(missing)} layers, the first of them {missing[0]!r}")
