"""The hyperparameters of one model: the user's options, completed from the preset and the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from .imbalance import choose
from .options import ALL_LAYERS, DEFAULT_DROPOUT, UNMEASURED_AUGMENTATIONS, TrainOptions

_SGD_STEPS = 2_000  # With fewer steps, the high rate of SGD does not fall far enough.
_LEAST_TUNING = 3  # Epochs of phase 2.
# Epochs of a head that stays alone, and how often images are seen in them: it is trained until it gets no
# better. A head whose base is trained next is better left before that.
_LONE_HEAD_EPOCHS, _LONE_HEAD_PASSES = (15, 80), 80_000
_BATCH_NORM_IMAGES = 2_000  # The statistics of fewer images are worse than those of ImageNet.
_BATCH_SIZES = ((4_000, 32), (20_000, 64))  # (images below, batch size); more images: the largest.
_LARGEST_BATCH = 128
_REFIT_EPOCHS = 3
ANSWER_SHARE = 0.5
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
CPU_INFO = Path("/proc/cpuinfo")

# By optimizer and initial weights.
_WEIGHT_DECAY = {
    ("sgd", "random"): 5e-4,
    ("sgd", "trained"): 5e-4,
    ("adamw", "random"): 0.05,
    ("adamw", "trained"): 0.1,
}
_WEIGHT_DECAY_WITH_ADJUSTED_LOGITS = {**_WEIGHT_DECAY, ("adamw", "trained"): 1.0}

T = TypeVar("T")


@dataclass(frozen=True)
class _Preset:
    """The limits on cost: epochs = passes / images, between a minimum and a maximum.

    `head_epochs` and `tune_epochs` are for the two phases of a backbone with trained weights,
    `scratch_epochs` (minimum, maximum) for a model from random weights. `views` is the most augmented views
    of one image that go through the frozen part, and `view_budget` the most of all images together.
    """

    head_epochs: int
    tune_epochs: int
    tune_passes: int
    fine_tune_layers: int
    scratch_epochs: tuple[int, int]
    scratch_passes: int
    views: int
    view_budget: int


# A frozen view takes 3.5 ms at 224 pixels on 2 cores; an epoch of a head takes next to nothing.
_PRESETS = {
    "fast": _Preset(15, 0, 0, 0, (8, 20), 12_000, 2, 4_000),
    "balanced": _Preset(20, 10, 40_000, 60, (12, 40), 150_000, 6, 16_000),
    "best": _Preset(20, 20, 300_000, ALL_LAYERS, (25, 80), 1_200_000, 10, 60_000),
}


@dataclass(frozen=True)
class Hyperparameters:
    """Every value that shapes the training of one model; `edge-train --help` explains each.

    A model from random weights is trained whole in one phase: `epochs[0]` holds all its epochs.
    `answer_share` is the share of a teacher's answer in the target of an image with a label.
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
    refit_epochs: int
    compute: str
    answer_share: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for the card."""
        return asdict(self)


def choose_hyperparameters(model: str, options: TrainOptions, counts: Sequence[int]) -> Hyperparameters:
    """Complete `options` for `model`, given the number of training images of each class.

    Logit adjustment excludes label smoothing, which harms the smallest class, and needs a large weight decay,
    because the head otherwise memorizes its few images: in ten sets of five CIFAR-10 classes with 11 images
    in one class, its F1 was 0.60 with a decay of 1, 0.52 without decay, and 0.11 without adjustment. On
    trained weights label smoothing costs right answers, and makes confidence tell less which ones are right.
    """
    images = sum(counts)
    imbalance = choose(counts)[0] if options.imbalance == "auto" else options.imbalance
    adjusted = imbalance == "logit-adjustment"
    preset = _PRESETS[options.preset]
    scratch = is_scratch(model, options.weights)
    layers = _given(options.fine_tune_layers, preset.fine_tune_layers)
    batch = options.batch_size or _batch_size(images)
    epochs = (
        _scratch_epochs(options.epochs, preset, images)
        if scratch
        else _transfer_epochs(options.epochs, options.fine_tune_layers, preset, images)
    )
    optimizer = options.optimizer or _optimizer(scratch, sum(epochs) * images // batch)
    decays = _WEIGHT_DECAY_WITH_ADJUSTED_LOGITS if adjusted else _WEIGHT_DECAY
    return Hyperparameters(
        epochs=epochs,
        learning_rate=options.learning_rate or _learning_rate(optimizer, scratch, layers, batch),
        optimizer=optimizer,
        schedule=options.schedule,
        warmup=options.warmup,
        weight_decay=_given(options.weight_decay, decays[optimizer, "random" if scratch else "trained"]),
        label_smoothing=_given(
            options.label_smoothing, 0.1 if scratch and not (adjusted or options.teacher) else 0.0
        ),
        batch_size=batch,
        fine_tune_layers=layers,
        batch_norm=options.batch_norm or _batch_norm(layers, images),
        dropout=_given(options.dropout, DEFAULT_DROPOUT),
        augment=_given(options.augment, UNMEASURED_AUGMENTATIONS),
        mix=options.mix,
        views=options.views or max(1, min(preset.views, preset.view_budget // max(images, 1))),
        imbalance=imbalance,
        patience=options.patience,
        refit_epochs=_REFIT_EPOCHS if options.refit else 0,
        compute=choose_compute(options.compute, model),
        answer_share=ANSWER_SHARE if options.teacher else 0.0,
    )


def is_scratch(model: str, weights: str) -> bool:
    """Return whether the model starts from random weights; `weights` is the value of --weights."""
    return model == "cnn" or weights == "none"


def describe(hyperparameters: Hyperparameters, scratch: bool) -> str:
    """Return one line for the user that says how the model will be trained."""
    chosen = hyperparameters
    head, tuning = chosen.epochs
    parts = [
        f"{head} epochs" if scratch else f"{head} + {tuning} epochs",
        f"batches of {chosen.batch_size}",
        f"{chosen.optimizer} at {chosen.learning_rate[0]:.3g}",
        f"label smoothing {chosen.label_smoothing:g}",
    ]
    if chosen.mix != "none":
        parts.append(chosen.mix)
    if not scratch and tuning:
        tuned = "all layers" if chosen.fine_tune_layers >= ALL_LAYERS else f"{chosen.fine_tune_layers} layers"
        parts.append(f"then {tuned} fine-tuned, batch norm {chosen.batch_norm}")
    if chosen.refit_epochs:
        parts.append(f"then {chosen.refit_epochs} epochs on the validation images too")
    if chosen.imbalance != "none":
        parts.append(f"imbalance: {chosen.imbalance}")
    if chosen.answer_share:
        parts.append(f"{chosen.answer_share:.0%} of each label from the teacher")
    if chosen.compute != "float32":
        parts.append(f"computed in {chosen.compute}")
    return ", ".join(parts)


def choose_compute(option: str, model: str) -> str:
    """Return "float32" or "bfloat16" for `--compute auto`, else the option's value.

    A processor with bfloat16 instructions trains the CNN twice as fast in bfloat16 (1.25 ms an image instead
    of 2.50, AMD EPYC, 2 cores); the depthwise convolutions of the other networks get slower (9.0 ms instead
    of 5.4). The weights are float32 in both cases.
    """
    if option != "auto":
        return option
    if model != "cnn":
        return "float32"
    return "bfloat16" if _processor_flags() & _BFLOAT16_FLAGS else "float32"


def _processor_flags() -> set[str]:
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:  # Only Linux has this file.
        return set()
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def _given(value: T | None, default: T) -> T:
    return default if value is None else value


def _batch_size(images: int) -> int:
    return next((size for limit, size in _BATCH_SIZES if images < limit), _LARGEST_BATCH)


def _batch_norm(layers: int, images: int) -> str:
    return "trained" if layers >= ALL_LAYERS and images >= _BATCH_NORM_IMAGES else "frozen"


def _scratch_epochs(given: tuple[int, int] | None, preset: _Preset, images: int) -> tuple[int, int]:
    low, high = preset.scratch_epochs
    total = sum(given) if given else 0
    return total or _clamp(preset.scratch_passes // max(images, 1), low, high), 0


def _transfer_epochs(
    given: tuple[int, int] | None, fine_tune_layers: int | None, preset: _Preset, images: int
) -> tuple[int, int]:
    if given and sum(given):
        return given
    if not preset.tune_epochs:
        if fine_tune_layers:
            return preset.head_epochs, _LEAST_TUNING
        return _clamp(_LONE_HEAD_PASSES // max(images, 1), *_LONE_HEAD_EPOCHS), 0
    return preset.head_epochs, _clamp(preset.tune_passes // max(images, 1), _LEAST_TUNING, preset.tune_epochs)


def _optimizer(scratch: bool, steps: int) -> str:
    """SGD ends better after many steps, and AdamW gets further in few."""
    return "sgd" if scratch and steps >= _SGD_STEPS else "adamw"


def _learning_rate(optimizer: str, scratch: bool, layers: int, batch: int) -> tuple[float, float]:
    """Return the highest rates of both phases; large batches have a higher one, as they make fewer steps."""
    if optimizer == "sgd":
        return 0.1 * batch / 128, 0.01 * batch / 128
    if scratch:
        return 2e-3, 2e-3
    tune = 5e-4 if layers >= ALL_LAYERS else 2e-4
    return 2e-3, tune * (batch / 64) ** 0.5


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
