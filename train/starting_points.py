"""The networks among which --model auto chooses, by what their authors published of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .backbones import BACKBONES
from .options import TrainOptions


@dataclass(frozen=True)
class StartingPoint:
    """A pretrained network of a width, at an input size.

    `size` is the side of the square input in pixels, `macs` are the millions of multiply-accumulates of one
    image, and `top1` is the share of ImageNet's 50,000 validation images that the float network has right.
    `kernel_weights` is the number of weights in its convolutions, without those behind the pooling.
    """

    backbone: str
    alpha: float
    size: int
    macs: float
    top1: float
    kernel_weights: int

    @property
    def text(self) -> str:
        """The options that name it, as a user types them."""
        alpha = f" --alpha {self.alpha}" if BACKBONES[self.backbone].has_alpha else ""
        return f"--model {self.backbone}{alpha} --image-size {self.size}"

    @property
    def title(self) -> str:
        """Its name in sentences, such as "mobilenet_v2 0.5 at 160"."""
        alpha = f" {self.alpha}" if BACKBONES[self.backbone].has_alpha else ""
        return f"{self.backbone}{alpha} at {self.size}"

    def on(self, options: TrainOptions) -> TrainOptions:
        """Return the options as if the user had named it."""
        sizes = {self.backbone: self.size}
        return replace(options, models=(self.backbone,), alpha=self.alpha, image_size=sizes)


# By width and input size; Keras has these weights:
# https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet
_MOBILENET_V2 = {
    (1.4, 224): (582, 0.750),
    (1.3, 224): (509, 0.744),
    (1.0, 224): (300, 0.718),
    (1.0, 192): (221, 0.707),
    (1.0, 160): (154, 0.688),
    (1.0, 128): (99, 0.653),
    (1.0, 96): (56, 0.603),
    (0.75, 224): (209, 0.698),
    (0.75, 192): (153, 0.687),
    (0.75, 160): (107, 0.664),
    (0.75, 128): (69, 0.632),
    (0.75, 96): (39, 0.588),
    (0.5, 224): (97, 0.654),
    (0.5, 192): (71, 0.639),
    (0.5, 160): (50, 0.610),
    (0.5, 128): (32, 0.577),
    (0.5, 96): (18, 0.512),
    (0.35, 224): (59, 0.603),
    (0.35, 192): (43, 0.582),
    (0.35, 160): (30, 0.557),
    (0.35, 128): (20, 0.508),
    (0.35, 96): (11, 0.455),
}
# https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
_EFFICIENTNET_LITE = {
    "efficientnet_lite0": (224, 407, 0.751, 3_328_992),
    "efficientnet_lite1": (240, 631, 0.767, 4_082_016),
    "efficientnet_lite2": (260, 899, 0.776, 4_752_976),
}
# By width.
_MOBILENET_V2_KERNELS = {
    0.35: 382_048,
    0.5: 669_136,
    0.75: 1_328_784,
    1.0: 2_189_760,
    1.3: 3_677_536,
    1.4: 4_267_840,
}
# Each family by multiply-accumulates, the most first: networks of one family take longer the more they have.
FAMILIES: tuple[tuple[StartingPoint, ...], ...] = (
    tuple(
        StartingPoint(name, 1.0, size, macs, top1, kernels)
        for name, (size, macs, top1, kernels) in sorted(
            _EFFICIENTNET_LITE.items(), key=lambda row: -row[1][1]
        )
    ),
    tuple(
        StartingPoint("mobilenet_v2", alpha, size, macs, top1, _MOBILENET_V2_KERNELS[alpha])
        for (alpha, size), (macs, top1) in sorted(_MOBILENET_V2.items(), key=lambda row: -row[1][0])
    ),
)
