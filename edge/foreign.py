"""Labels and normalization of a model without a card: from the user, or from TFLite metadata."""

from __future__ import annotations

from .errors import ModelFileError
from .labels import check_label_count
from .modelfile import ModelFile, Normalization
from .tensors import TensorSpec


def choose_labels(file: ModelFile, given: tuple[str, ...] | None, classes: int) -> tuple[str, ...]:
    """Return the labels of the outputs, "class N" where there are none; raises LabelError."""
    labels = given or file.labels
    if labels is None:
        return tuple(f"class {i}" for i in range(classes))
    check_label_count(labels, classes, f"--labels for {file.name}" if given else file.name)
    return labels


def choose_normalization(
    file: ModelFile, tensor: TensorSpec, given: Normalization | None
) -> Normalization | None:
    """Return the normalization of pixels, or None to feed them as they are.

    A card means that scaling is inside the graph. A uint8 input takes raw pixels whatever the
    metadata says, as MediaPipe and Task Library do. The normalization of a float
    input is never guessed, nor that of a 16-bit input, whose range is much wider than that of pixels: without
    one, raises ModelFileError.
    """
    if file.card is not None or (given is None and tensor.dtype == "uint8"):
        return None
    chosen = given or file.normalization
    if chosen is None and tensor.dtype in ("float32", "int16"):
        kind = "float" if tensor.dtype == "float32" else "16-bit"
        raise ModelFileError(
            f"{file.name} takes {kind} input and does not say how pixels are scaled. Give --normalization "
            "0..255, 0..1, -1..1 or MEAN,STD, as the model was trained"
        )
    grey = tensor.layout is not None and tensor.layout.channels == 1
    if chosen is not None and grey and max(len(chosen.mean), len(chosen.std)) > 1:
        raise ModelFileError(
            f"{file.name} takes grey pictures, with one mean and one standard deviation. "
            f"Received: {len(chosen.mean)} and {len(chosen.std)}; give --normalization MEAN,STD"
        )
    return chosen
