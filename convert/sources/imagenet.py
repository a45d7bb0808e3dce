"""Keras's own ImageNet classifiers by name, `keras:mobilenet_v2`: their weights, scaling and labels.

The table needs no TensorFlow; the other functions import it.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from ...edge.channels import BGR, RGB
from ...edge.errors import ConversionError, OptionError
from ...edge.labels import tell_apart
from ...edge.modelfile import NAMED_NORMALIZATIONS, Normalization
from ..download import DownloadFailure, download_shown
from .job import ModelSource

PREFIX = "keras:"
_CLASSES = 1000


class _Preprocessing(NamedTuple):
    """What a network's pixels 0..255 go through, and the order of its colours."""

    normalization: Normalization
    color: str


# The modes of keras.applications.imagenet_utils.preprocess_input, whose means and deviations are those of
# ImageNet's training set in the order red, green, blue; and the networks that begin with their own scaling.
_TF = _Preprocessing(NAMED_NORMALIZATIONS["-1..1"], RGB)
_TORCH = _Preprocessing(
    Normalization((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)), RGB
)
_CAFFE = _Preprocessing(Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)), BGR)
_INSIDE = _Preprocessing(NAMED_NORMALIZATIONS["0..255"], RGB)

# The constructors in keras.applications, each with its preprocessing; their defaults have 1,000 classes.
_NETWORKS: dict[str, tuple[str, _Preprocessing]] = {
    "convnext_base": ("ConvNeXtBase", _INSIDE),
    "convnext_large": ("ConvNeXtLarge", _INSIDE),
    "convnext_small": ("ConvNeXtSmall", _INSIDE),
    "convnext_tiny": ("ConvNeXtTiny", _INSIDE),
    "convnext_xlarge": ("ConvNeXtXLarge", _INSIDE),
    "densenet121": ("DenseNet121", _TORCH),
    "densenet169": ("DenseNet169", _TORCH),
    "densenet201": ("DenseNet201", _TORCH),
    **{f"efficientnet_b{size}": (f"EfficientNetB{size}", _INSIDE) for size in range(8)},
    **{f"efficientnet_v2_b{size}": (f"EfficientNetV2B{size}", _INSIDE) for size in range(4)},
    "efficientnet_v2_l": ("EfficientNetV2L", _INSIDE),
    "efficientnet_v2_m": ("EfficientNetV2M", _INSIDE),
    "efficientnet_v2_s": ("EfficientNetV2S", _INSIDE),
    "inception_resnet_v2": ("InceptionResNetV2", _TF),
    "inception_v3": ("InceptionV3", _TF),
    "mobilenet": ("MobileNet", _TF),
    "mobilenet_v2": ("MobileNetV2", _TF),
    "mobilenet_v3_large": ("MobileNetV3Large", _INSIDE),
    "mobilenet_v3_small": ("MobileNetV3Small", _INSIDE),
    "nasnet_large": ("NASNetLarge", _TF),
    "nasnet_mobile": ("NASNetMobile", _TF),
    "resnet50": ("ResNet50", _CAFFE),
    "resnet101": ("ResNet101", _CAFFE),
    "resnet152": ("ResNet152", _CAFFE),
    "resnet50_v2": ("ResNet50V2", _TF),
    "resnet101_v2": ("ResNet101V2", _TF),
    "resnet152_v2": ("ResNet152V2", _TF),
    "vgg16": ("VGG16", _CAFFE),
    "vgg19": ("VGG19", _CAFFE),
    "xception": ("Xception", _TF),
}
NETWORKS = tuple(sorted(_NETWORKS))
_COMMON = ("mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "resnet50")
# ImageNet has two classes of these names each; the words are from WordNet's definitions of their numbers.
_MEANINGS = {
    "n02012849": "bird",
    "n03126707": "machine",
    "n03710637": "tights",
    "n03710721": "swimsuit",
}


def is_imagenet(path: Path) -> bool:
    """Return whether a MODEL of the command line names one of Keras's own, known or not."""
    return str(path).startswith(PREFIX)


def network_name(path: Path) -> str:
    """Return the name after `keras:`; raises OptionError, with those nearest to it, for an unknown one."""
    name = str(path).removeprefix(PREFIX)
    if name not in _NETWORKS:
        near = get_close_matches(name.lower(), NETWORKS, n=6, cutoff=0.5) or _COMMON
        raise OptionError(
            f"{path} is none of Keras's {len(NETWORKS)} ImageNet networks. Did you mean one of: "
            f"{', '.join(PREFIX + known for known in near)}? README.md lists all"
        )
    return name


def preprocessing(path: Path) -> tuple[Normalization, str]:
    """Return the normalization and the order of colours that a named network was trained with."""
    return _NETWORKS[network_name(path)][1]


def check_imagenet(source: ModelSource) -> None:
    """Raise OptionError for an unknown network, and for options that contradict what a network brings."""
    network_name(source.path)
    for option, value in {
        "--labels": source.labels,
        "--normalization": source.normalization,
        "--color": source.color,
        "--outputs": source.outputs,
        "--output-index": source.output_index,
        "--image-size": source.image_size,
        "--trust": source.trust or None,
    }.items():
        if value is not None:
            raise OptionError(f"{option} is for model files: {source.path} brings its own")


def imagenet_source(source: ModelSource) -> ModelSource:
    """Return a named network's source with its labels and preprocessing.

    Raises OptionError as `check_imagenet`, and ConversionError when the class names cannot be had.
    """
    check_imagenet(source)
    normalization, color = preprocessing(source.path)
    return replace(source, labels=imagenet_labels(), normalization=normalization, color=color)


def load_imagenet(path: Path) -> Any:
    """Return a named network with its ImageNet weights, which Keras downloads or has kept.

    Raises ConversionError when they cannot be had.
    """
    import keras

    constructor = _NETWORKS[network_name(path)][0]
    try:
        with download_shown(f"the ImageNet weights of {constructor}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return getattr(keras.applications, constructor)(weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception for a download, others for a damaged cache.
        raise ConversionError(f"{path}: its weights cannot be had: {_remedy(error, constructor)}") from error


def imagenet_labels() -> tuple[str, ...]:
    """Return the names of ImageNet's classes in the order of the outputs, each once, for people to read.

    Raises ConversionError when Keras can neither download them nor has kept them.
    """
    import keras
    import numpy as np

    try:
        with download_shown("the names of ImageNet's classes"):
            rows = keras.applications.imagenet_utils.decode_predictions(np.eye(_CLASSES), top=1)
    except Exception as error:  # As above.
        raise ConversionError(
            f"The names of ImageNet's classes cannot be had: {_remedy(error, 'MobileNetV2')}"
        ) from error
    return readable([(number, name) for ((number, name, _),) in rows])


def readable(classes: list[tuple[str, str]]) -> tuple[str, ...]:
    """Return labels of classes, each given by its WordNet number and its name in ImageNet.

    Example:
        >>> readable([("n01440764", "tiger_shark"), ("n02012849", "crane"), ("n03126707", "crane")])
        ('tiger shark', 'crane (bird)', 'crane (machine)')
    """
    names = [name.replace("_", " ") for _, name in classes]
    numbers = [number for number, _ in classes]
    return tell_apart(
        tuple(
            f"{name} ({_MEANINGS[number]})" if number in _MEANINGS else name
            for number, name in zip(numbers, names, strict=True)
        )
    )


def _remedy(error: Exception, constructor: str) -> str:
    reason = str(DownloadFailure.of(error) or " ".join(str(error).split())[:160])
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras"), "models")
    return (
        f'{reason}. Connect to the internet once; or, where there is one, run: python -c "import keras; m = '
        f"keras.applications; m.{constructor}(); m.imagenet_utils.decode_predictions(__import__('numpy')"
        f'.eye(1000))", and copy its ~/.keras/models to {folder}'
    )
