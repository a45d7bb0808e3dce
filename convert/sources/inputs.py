"""Finds the trained models in a run, and checks that they belong to its split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...benchmarks.scoring.split import FILE_NAME, Split
from ...edge.card import ModelCard
from ...edge.errors import CardError, ConversionError, DatasetError

MODEL_NAME, CARD_NAME = "model.keras", "card.json"


@dataclass(frozen=True)
class ModelFolder:
    """A trained model as edge-train writes it."""

    path: Path
    card: ModelCard

    @property
    def name(self) -> str:
        """The folder's name, which begins the names of the files made from it."""
        return self.path.name

    @property
    def dataset(self) -> str:
        """The name of the data set that the model was trained on."""
        return self.card.training.dataset if self.card.training else "unnamed"


def find_models(source: Path) -> tuple[Path, list[ModelFolder]]:
    """Return the run, and the models to convert: all of a run's, or the one whose folder was given.

    Raises ConversionError when `source` is neither, CardError when a card cannot be used.
    """
    if not source.is_dir():
        found = "is not a folder" if source.exists() else "no such folder"
        raise ConversionError(f"{source}: {found}. Give a run of edge-train, or a model's folder in it")
    alone = (source / MODEL_NAME).is_file()
    folders = [source.resolve()] if alone else sorted(path.parent for path in source.glob(f"*/{MODEL_NAME}"))
    if not folders:
        raise ConversionError(
            f"{source} is no run of edge-train: neither it nor a folder in it holds {MODEL_NAME}"
        )
    run = folders[0].parent if alone else source
    return run, [ModelFolder(folder, _read_card(folder / CARD_NAME)) for folder in folders]


def check_split(model: ModelFolder, split: Split, run: Path) -> None:
    """Raise DatasetError for a model of another run, which would be scored on its own training images.

    Raises CardError when its labels are not the split's, in the split's order.
    """
    if model.card.labels != split.labels:
        raise CardError(
            f"{model.path / CARD_NAME} has other labels, or another order of them, than {run / FILE_NAME}: "
            f"{len(model.card.labels)} labels and {len(split.labels)}"
        )
    if model.card.training is not None and model.card.training.split_sha256 != split.sha256:
        raise DatasetError(
            f"{model.path} was not trained on the split in {run / FILE_NAME}: their checksums differ"
        )


def _read_card(path: Path) -> ModelCard:
    try:
        return ModelCard.from_json(path.read_bytes())
    except CardError as error:
        raise CardError(f"{path}: {error}") from None
    except OSError as error:
        raise CardError(f"{path} cannot be read ({error.strerror}); edge-train writes it") from None
