"""What one training run was asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MODELS = ("cnn", "mobilenet_v2")
AUGMENTATIONS = ("rotation", "shift", "shear", "zoom", "flip")
IMAGENET_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


@dataclass(frozen=True)
class TrainOptions:
    """The options of edge-train, after parsing; pairs hold a value for each of the two phases.

    `image_size` is the side of the square input in pixels, for each model.
    """

    models: tuple[str, ...]
    image_size: dict[str, int]
    epochs: tuple[int, int]
    learning_rate: tuple[float, float]
    batch_size: int
    alpha: float
    fine_tune_layers: int
    head_units: int
    dropout: float
    weights: str
    augment: tuple[str, ...]
    class_weights: str
    patience: int
    validation_split: float
    test_split: float
    resize: str
    seed: int

    def for_card(self, model: str) -> dict[str, Any]:
        """Return the options that shaped `model`, for its card."""
        options = {**asdict(self), "image_size": self.image_size[model]}
        del options["models"], options["seed"]
        if options["weights"] not in ("imagenet", "none"):
            options["weights"] = "file"  # The name of a file on this machine says nothing elsewhere.
        if model == "cnn":
            for name in ("alpha", "fine_tune_layers", "head_units", "weights"):
                del options[name]
        return options
