"""How one model is trained: the user's options, completed by the preset and by what the data is like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .imbalance import choose
from .options import ALL_LAYERS, DEFAULT_DROPOUT, TrainOptions

_SGD_STEPS = 2_000  # Fewer don't suffice for its high rate to fall again.
_LEAST_TUNING = 3  # Epochs of phase 2.
_BATCH_NORM_IMAGES = 2_000  # Statistics of fewer images are worse than ImageNet's.


@dataclass(frozen=True)
class _Preset:
    """Costs are bounded by images seen: epochs = passes / images, between a least and a most.

    `head_epochs` and `tune_epochs` are for the two phases of a backbone with weights, `scratch_epochs`
    (least, most) for a model from random weights. `views` is the most augmented views of an image that are
    put through the frozen part, and `view_budget` the most of all images together.
    """

    head_epochs: int
    tune_epochs: int
    tune_passes: int
    fine_tune_layers: int
    scratch_epochs: tuple[int, int]
    scratch_passes: int
    views: int
    view_budget: int


# Frozen views cost 3.5 ms an image at 224 pixels on 2 cores, epochs of a head next to nothing.
_PRESETS = {
    "fast": _Preset(15, 0, 0, 0, (8, 20), 12_000, 2, 4_000),
    "balanced": _Preset(20, 10, 40_000, 60, (12, 40), 150_000, 6, 16_000),
    "best": _Preset(20, 20, 300_000, ALL_LAYERS, (25, 80), 1_200_000, 10, 60_000),
}


@dataclass(frozen=True)
class Hyperparameters:
    """Every value that shapes one model's training; see `edge-train --help` for their meaning.

    `epochs` of a model from random weights are all in the first place: it is trained whole from the
    start, in one phase.
    """

    epochs: tuple[int, int]
    learning_rate: tuple[float, float]
    optimizer: str
    schedule: str
    warmup: float
    weight_decay: float
    label_smoothing: float
    batch_size: int
    fine_tune_layers: int
    batch_norm: str
    dropout: float
    augment: tuple[str, ...]
    mix: str
    views: int
    imbalance: str
    patience: int | None
    compute: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the card."""
        return asdict(self)


def choose_hyperparameters(model: str, options: TrainOptions, counts: Sequence[int]) -> Hyperparameters:
    """Complete `options` for `model`, given the number of training images of each class.

    With logit adjustment there is no label smoothing, which costs the smallest class, and much weight decay,
    without which the head learns its few images by heart: in ten sets of five CIFAR-10 classes with 11 images
    of one, its F1 was 0.60 with a decay of 1 and 0.52 without, and 0.11 without adjustment.
    """
    images = sum(counts)
    imbalance = choose(counts)[0] if options.imbalance == "auto" else options.imbalance
    adjusted = imbalance == "logit-adjustment"
    preset = _PRESETS[options.preset]
    scratch = is_scratch(model, options)
    layers = _given(options.fine_tune_layers, preset.fine_tune_layers)
    batch = options.batch_size or (32 if images < 4_000 else 64 if images < 20_000 else 128)
    epochs = _epochs(options, preset, scratch, images)
    optimizer = options.optimizer or _optimizer(scratch, sum(epochs) * images // batch)
    return Hyperparameters(
        epochs=epochs,
        learning_rate=options.learning_rate or _learning_rate(optimizer, scratch, layers, batch),
        optimizer=optimizer,
        schedule=options.schedule,
        warmup=options.warmup,
        weight_decay=_given(options.weight_decay, _weight_decay(optimizer, scratch, adjusted)),
        label_smoothing=_given(options.label_smoothing, 0.0 if adjusted else 0.1),
        batch_size=batch,
        fine_tune_layers=layers,
        batch_norm=options.batch_norm or ("trained" if _whole(layers, images) else "frozen"),
        dropout=_given(options.dropout, DEFAULT_DROPOUT),
        augment=options.augment,
        mix=options.mix,
        views=options.views or max(1, min(preset.views, preset.view_budget // max(images, 1))),
        imbalance=imbalance,
        patience=options.patience,
        compute=choose_compute(options.compute, model),
    )


def is_scratch(model: str, options: TrainOptions) -> bool:
    """Return whether the model starts from random weights."""
    return model == "cnn" or options.weights == "none"


def describe(recipe: Hyperparameters, scratch: bool) -> str:
    """Return one line for the user that says how the model will be trained."""
    epochs = f"{recipe.epochs[0]} epochs" if scratch else f"{recipe.epochs[0]} + {recipe.epochs[1]} epochs"
    parts = [
        epochs,
        f"batches of {recipe.batch_size}",
        f"{recipe.optimizer} at {recipe.learning_rate[0]:.3g}",
        f"label smoothing {recipe.label_smoothing:g}",
    ]
    if recipe.mix != "none":
        parts.append(recipe.mix)
    if not scratch and recipe.epochs[1]:
        tuned = "all layers" if recipe.fine_tune_layers >= ALL_LAYERS else f"{recipe.fine_tune_layers} layers"
        parts.append(f"then {tuned} fine-tuned, batch norm {recipe.batch_norm}")
    if recipe.imbalance != "none":
        parts.append(f"imbalance: {recipe.imbalance}")
    if recipe.compute != "float32":
        parts.append(f"computed in {recipe.compute}")
    return ", ".join(parts)


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _whole(layers: int, images: int) -> bool:
    return layers >= ALL_LAYERS and images >= _BATCH_NORM_IMAGES


def _epochs(options: TrainOptions, preset: _Preset, scratch: bool, images: int) -> tuple[int, int]:
    if scratch:
        low, high = preset.scratch_epochs
        total = sum(options.epochs) if options.epochs else 0
        return total or _clamp(preset.scratch_passes // max(images, 1), low, high), 0
    if options.epochs:
        return options.epochs
    if not preset.tune_epochs:
        return preset.head_epochs, _LEAST_TUNING if options.fine_tune_layers else 0
    return preset.head_epochs, _clamp(preset.tune_passes // max(images, 1), _LEAST_TUNING, preset.tune_epochs)


def _optimizer(scratch: bool, steps: int) -> str:
    """SGD ends better where it has many steps, and AdamW gets further in few."""
    return "sgd" if scratch and steps >= _SGD_STEPS else "adamw"


def _learning_rate(optimizer: str, scratch: bool, layers: int, batch: int) -> tuple[float, float]:
    """Return the highest rates; those of few, large batches are higher, as there are fewer steps."""
    if optimizer == "sgd":
        return 0.1 * batch / 128, 0.01 * batch / 128
    if scratch:
        return 2e-3, 2e-3
    tune = 5e-4 if layers >= ALL_LAYERS else 2e-4
    return 2e-3, tune * (batch / 64) ** 0.5


def _weight_decay(optimizer: str, scratch: bool, adjusted: bool) -> float:
    if optimizer == "sgd":
        return 5e-4
    return 0.05 if scratch else 1.0 if adjusted else 0.1


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPU_INFO = Path("/proc/cpuinfo")


def choose_compute(option: str, model: str) -> str:
    """Return "float32" or "bfloat16" for `--compute auto`, else what was asked for.

    Processors with bfloat16 instructions train the CNN twice as fast in it (2.50 ms an image against
    1.25, AMD EPYC, 2 cores); the depthwise convolutions of the other networks get slower (5.4 against 9.0).
    Weights stay float32 either way.
    """
    if option != "auto":
        return option
    if model != "cnn":
        return "float32"
    return "bfloat16" if _processor_flags() & _BFLOAT16_FLAGS else "float32"


def _processor_flags() -> set[str]:
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:  # Only Linux tells.
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())
