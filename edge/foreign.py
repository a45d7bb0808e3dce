"""What a model without a card does not say about itself: from the user, or from TFLite metadata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .card import ModelCard
from .channels import BGR, RGB
from .errors import ModelFileError
from .labels import check_label_count, composed, tell_apart
from .meanings import OF_ACTIVATION, OutputMeaning
from .modelfile import ModelFile, Normalization
from .tensors import TensorSpec, stored_values


@dataclass(frozen=True)
class ForeignFacts:
    """What the user says about a model without a card; None where nothing is said.

        ForeignFacts(labels=("cat", "dog"), normalization=Normalization.parse("-1..1"))

    `color` is RGB or BGR, and `outputs` one of meanings.MEANINGS. `output_index` is the number of the
    output that has the classes, where there are several.
    """

    labels: tuple[str, ...] | None = None
    normalization: Normalization | None = None
    color: str | None = None
    outputs: str | None = None
    output_index: int | None = None

    @property
    def options(self) -> list[str]:
        """The options of the commands that say this."""
        names = {
            "--labels": self.labels,
            "--normalization": self.normalization,
            "--color": self.color,
            "--outputs": self.outputs,
            "--output-index": self.output_index,
        }
        return [name for name, value in names.items() if value is not None]

    def on(self, file: ModelFile) -> ForeignFacts:
        """Return what holds for a file among others: nothing where it has a card."""
        return self if file.card is None else NO_FACTS


NO_FACTS = ForeignFacts()


def facts_of(card: ModelCard) -> ForeignFacts:
    """Return what a card says of the same things, but for the labels."""
    given, output = card.input, card.output
    meaning = OF_ACTIVATION[output.activation]
    return ForeignFacts(
        normalization=Normalization(given.mean, given.std) if given.mean else None,
        color=BGR if given.color == BGR else None,
        outputs=None if meaning is OutputMeaning.PROBABILITIES else meaning.value,
        output_index=output.index,
    )


_USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))
_RANGE_TOLERANCE = 0.05  # Of the range: calibration pictures need not be quite black and white.
_LEAST_LEVELS = 16
_MOST_BEYOND = 0.4  # Of the brightnesses: calibration pictures may have lacked the darkest and brightest.


def choose_labels(file: ModelFile, given: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
    """Return the labels of the outputs, told apart, "class N" where there are none; raises LabelError."""
    labels = given or file.labels
    if labels is None:
        return tuple(f"class {i}" for i in range(classes))
    check_label_count(labels, classes, f"--labels for {file.name}" if given else file.name)
    return labels if file.card is not None else tell_apart(composed(labels))


def choose_normalization(
    file: ModelFile, tensor: TensorSpec, given: Normalization | None, color: str = RGB
) -> Normalization | None:
    """Return the normalization of red, green and blue, or None to feed pixels as they are.

    `given` is from the user, or from the card where there is one, and then all there is. Otherwise pixels are
    fed as they are where the numbers of an 8-bit input stand for one of the usual ranges (0..1, -1..1,
    0..255, -128..127), or, in uint8, for nothing: then the graph takes the numbers themselves. Metadata
    changes nothing there, as for MediaPipe and Task Library. Of all other inputs it is never guessed: raises
    ModelFileError where neither the user nor the metadata says it, and for a normalization that the input
    cannot hold.
    """
    if file.card is not None:
        return given
    if given is None and _takes_pixels(tensor):
        return None
    chosen = given or stated_normalization(file, color)
    if chosen is None:
        bare = tensor.dtype == "int8" and tensor.real_range is None
        ways = "128,1 (pixels less 128)" if bare else "0..255, 0..1, -1..1"
        raise ModelFileError(
            f"{file.name} takes {_kind(tensor)} input and does not say how pixels are scaled. Give "
            f"--normalization {ways} or MEAN,STD, as the model was trained"
        )
    grey = tensor.layout is not None and tensor.layout.channels == 1
    if grey and max(len(chosen.mean), len(chosen.std)) > 1:
        raise ModelFileError(
            f"{file.name} takes grey pictures, with one mean and one standard deviation. "
            f"Received: {len(chosen.mean)} and {len(chosen.std)}; give --normalization MEAN,STD"
        )
    _require_levels(file.name, tensor, chosen)
    return chosen


def _kind(tensor: TensorSpec) -> str:
    """Return what kind of numbers a tensor takes, in words."""
    if tensor.real_range is None:
        return "float" if tensor.dtype == "float32" else tensor.dtype
    low, high = tensor.real_range
    bits = "16-bit" if tensor.dtype == "int16" else "8-bit"
    return f"{bits} ({low:.3g} to {high:.3g})"


def _takes_pixels(tensor: TensorSpec) -> bool:
    """Return whether pixels are right as they are: 0..255, or less 128 in int8."""
    if tensor.dtype not in ("uint8", "int8"):
        return False
    if tensor.real_range is None:
        return tensor.dtype == "uint8"
    low, high = tensor.real_range
    return any(
        max(abs(low - usual_low), abs(high - usual_high)) <= _RANGE_TOLERANCE * (usual_high - usual_low)
        for usual_low, usual_high in _USUAL_RANGES
    )


def _require_levels(name: str, tensor: TensorSpec, normalization: Normalization) -> None:
    """Raise ModelFileError where an input of whole numbers could hardly tell one pixel from another."""
    if tensor.dtype == "float32":
        return
    grey = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
    stored = stored_values(grey, tensor, normalization)
    levels = min(len(np.unique(stored[..., channel])) for channel in range(stored.shape[-1]))
    if levels < _LEAST_LEVELS:
        takes = "whole numbers without a scale, such as pixels 0..255"
        if tensor.real_range is not None:
            takes = "numbers of {:.3g} to {:.3g}".format(*tensor.real_range)
        raise ModelFileError(
            f"{name} takes {takes}, and of --normalization {normalization.to_text()} only {levels} of 256 "
            "brightnesses would be told apart. Leave it out, or give the one that the model was trained with"
        )
    beyond = _brightnesses_beyond(tensor, normalization)
    if beyond > _MOST_BEYOND * 256:
        low, high = tensor.real_range or (np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max)
        raise ModelFileError(
            f"{name} takes numbers of {low:.3g} to {high:.3g}, and --normalization {normalization.to_text()} "
            f"leads beyond them for {beyond} of 256 brightnesses. Give the one that the model was trained "
            "with"
        )


def _brightnesses_beyond(tensor: TensorSpec, normalization: Normalization) -> int:
    """Return how many of the 256 brightnesses lie beyond the numbers that a tensor holds, in any channel."""
    low, high = tensor.real_range or (np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max)
    mean, std = (np.asarray(values, np.float64)[None] for values in (normalization.mean, normalization.std))
    real = (np.arange(256.0)[:, None] - mean) / std
    step = tensor.scale if tensor.real_range is not None else 1.0
    return int(((real < low - step) | (real > high + step)).sum(0).max())


def stated_normalization(file: ModelFile, color: str) -> Normalization | None:
    """Return the normalization of red, green and blue in the metadata, None where it has none.

    The metadata has one value for each channel of the tensor, in the tensor's order.
    """
    stated = file.normalization
    if stated is None or color == RGB:
        return stated
    return Normalization(stated.mean[::-1], stated.std[::-1])


def choose_color(file: ModelFile, tensor: TensorSpec, given: str | None) -> str:
    """Return the order of the colours in the tensor, RGB unless BGR is given.

    Raises ModelFileError for BGR and a grey input, in which there is no order.
    """
    if given == BGR and tensor.layout is not None and tensor.layout.channels == 1:
        raise ModelFileError(
            f"{file.name} takes grey pictures, which have no order of colours: leave out --color"
        )
    return given or RGB
