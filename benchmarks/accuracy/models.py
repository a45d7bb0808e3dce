"""Opens the models to be scored; one that cannot be stops no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...edge.classifier import DEFAULT_EXECUTION, Classifier
from ...edge.errors import EdgeClassifyError
from ...edge.modelfile import ModelFile, Normalization
from ...edge.runtime import Execution
from ...edge.sources.paths import natural_key
from ..split import LabelledImage


@dataclass(frozen=True)
class NotScored:
    """A model whose accuracy could not be measured; `error` is a sentence that names the file."""

    file: str
    error: str


def open_models(
    paths: Sequence[Path],
    labels: tuple[str, ...] | None = None,
    normalization: Normalization | None = None,
    execution: Execution = DEFAULT_EXECUTION,
) -> list[Classifier | NotScored]:
    """Load several files as edge.classifier.load_classifiers does.

    One that cannot be loaded is a NotScored.
    """
    files: list[ModelFile | NotScored] = []
    for path in paths:
        try:
            files.append(ModelFile.read(path))
        except EdgeClassifyError as error:
            files.append(NotScored(str(path), str(error)))
    all_carded = all(file.card is not None for file in files if isinstance(file, ModelFile))
    models: list[Classifier | NotScored] = []
    for file in files:
        if isinstance(file, NotScored):
            models.append(file)
            continue
        given = (labels, normalization) if file.card is None or all_carded else (None, None)
        try:
            models.append(Classifier(file, *given, execution))
        except EdgeClassifyError as error:
            models.append(NotScored(str(file.path), str(error)))
    return models


def check_classes(model: Classifier | NotScored, images: Sequence[LabelledImage]) -> Classifier | NotScored:
    """Return the model if it knows the images' classes, else why it cannot be scored."""
    if isinstance(model, NotScored):
        return model
    file, known = str(model.file.path), Counter(model.labels)
    wanted = sorted({image.label for image in images}, key=natural_key)
    if unknown := [label for label in wanted if label not in known]:
        return NotScored(
            file,
            f"--data has classes that {file} does not know: {_listed(unknown, 5)}. "
            f"It knows: {_listed(model.labels, 10)}",
        )
    if twice := [label for label in wanted if known[label] > 1]:
        return NotScored(
            file, f"{file} has several classes called {twice[0]!r}: which of them --data means is not known"
        )
    return model


def _listed(labels: Sequence[str], limit: int) -> str:
    return f"{', '.join(labels[:limit])}{' and more' if len(labels) > limit else ''}"
