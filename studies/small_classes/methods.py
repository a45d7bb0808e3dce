"""The methods that are compared, and what each gives a head to learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from edge_classify.train.imbalance import TAU, logit_offsets
from numpy.typing import NDArray

from studies.small_classes.features import RECIPE
from studies.small_classes.head import Floats, Head, train_head
from studies.small_classes.synthesis import SYNTHESES, Material

DEFAULT = "adjusted"
_FEW = 20
_BANK = 512  # Synthetic features that each epoch draws from.
_MIXED = 0.2  # The parameter of the beta distribution; that of Keras's MixUp, and in Zhang et al.'s range.
_ADJUSTED_DECAY = 1.0  # What edge-train takes for a head with adjusted logits.


@dataclass(frozen=True)
class Method:
    """A way to train with a small class.

    The small class is filled with synthetic features of the kind `synthesis`: to 20 images with `filled`
    "few", to as many as the largest class has with "largest"; logits are adjusted by the counts with these,
    times `tau`. With "same" the counts stay, and synthetic features take the place of the images in every
    second epoch.
    """

    name: str
    tau: float = TAU
    synthesis: str | None = None
    filled: str = "same"
    mixed: bool = False
    cosine: bool = False

    @property
    def replaced(self) -> bool:
        """Whether synthetic features take the place of images."""
        return self.synthesis is not None and self.filled == "same"

    def train(self, material: Material, classes: int, seed: int) -> Head:
        """Return a head that was trained on the material."""
        rng = np.random.default_rng([seed, 1])
        counts = np.bincount(material.truth, minlength=classes)
        extra, bank = 0, material.views[0, :0]
        if self.synthesis is not None:
            own = int(counts[material.small])
            extra = max(0, {"same": own, "few": _FEW, "largest": int(counts.max())}[self.filled] - own)
            bank = SYNTHESES[self.synthesis](material, _BANK, rng)
        counts[material.small] += extra
        return train_head(
            _Rows(material, classes, bank, extra, self.replaced, self.mixed, seed),
            logit_offsets("logit-adjustment", counts.tolist(), self.tau),
            _ADJUSTED_DECAY if self.tau else RECIPE.weight_decay,
            seed,
            cosine=self.cosine,
        )


@dataclass(frozen=True)
class _Rows:
    """The rows of each epoch: one view of each image, and `extra` features of the bank, in random order.

    Where they are `replaced`, the images of the small class are features of the bank in every second epoch.
    """

    material: Material
    classes: int
    bank: Floats
    extra: int
    replaced: bool
    mixed: bool
    seed: int

    @property
    def rows(self) -> int:
        """The number of rows of every epoch."""
        return len(self.material.truth) + self.extra

    def draw(self, epoch: int) -> tuple[Floats, Floats]:
        """Return features [rows, features] and the shares of the classes [rows, classes]."""
        rng = np.random.default_rng([self.seed, 2, epoch])
        material = self.material
        view = material.views[epoch % len(material.views)]
        own = material.truth == material.small
        if self.replaced and epoch % 2:
            view = view.copy()
            view[own] = self.bank[rng.integers(0, len(self.bank), int(own.sum()))]
        drawn = rng.integers(0, max(1, len(self.bank)), self.extra)
        features = np.concatenate([view, self.bank[drawn]])
        truth = np.concatenate([material.truth, np.full(self.extra, material.small)])
        order = rng.permutation(len(truth))
        features, shares = features[order], np.eye(self.classes, dtype=np.float32)[truth[order]]
        return _mix(features, shares, rng) if self.mixed else (features, shares)


def _mix(features: Floats, shares: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Blend each row with another: Zhang et al., ICLR 2018; of features, Verma et al., ICML 2019."""
    share = rng.beta(_MIXED, _MIXED, (len(features), 1)).astype(np.float32)
    other: NDArray[np.int64] = rng.permutation(len(features))
    return share * features + (1 - share) * features[other], share * shares + (1 - share) * shares[other]


METHODS: tuple[Method, ...] = (
    Method(DEFAULT),
    Method("nothing", tau=0.0),
    Method("mixed features", mixed=True),
    Method("cosine head", cosine=True),
    Method("repeated to the largest", synthesis="repeated", filled="largest"),
    Method("interpolated", synthesis="interpolated"),
    Method("interpolated to 20", synthesis="interpolated", filled="few"),
    Method("interpolated to the largest", synthesis="interpolated", filled="largest"),
    Method("own distribution to the largest", synthesis="own distribution", filled="largest"),
    Method("shared covariance", synthesis="shared covariance"),
    Method("shared covariance to 20", synthesis="shared covariance", filled="few"),
    Method("shared covariance to the largest", synthesis="shared covariance", filled="largest"),
    Method("calibrated", synthesis="calibrated"),
    Method("calibrated to 20", synthesis="calibrated", filled="few"),
    Method("calibrated to the largest", synthesis="calibrated", filled="largest"),
)
