"""What a run was asked to do and which models are done: all that --resume needs beside the checkpoints."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..edge.errors import DatasetError, OptionError
from ..edge.files import write_atomically
from .backbones import WEIGHT_KINDS
from .built_in import BUILT_IN
from .options import TrainOptions
from .output import REQUEST, TRIALS, UNFINISHED

_FORMAT = 1


@dataclass(frozen=True)
class TrainingRequest:
    """The arguments of a run, the hash of its split once it is known, and the models that are done.

    `folder` is the one in which the command was given, `versions` are those of the libraries.
    """

    data: str
    options: TrainOptions
    command: str
    folder: str
    versions: dict[str, str]
    split_sha256: str | None = None
    finished: tuple[str, ...] = ()

    def require_files(self) -> None:
        """Raise OptionError when a file that was named relative to another folder is not found from here."""
        named = [name for name in (self.data, self.options.weights) if name not in (*BUILT_IN, *WEIGHT_KINDS)]
        for name in named:
            if not Path(name).exists() and Path(self.folder, name).exists():
                raise OptionError(
                    f"{name} is not found from here. Give --resume in the folder where the training began: "
                    f"{self.folder}"
                )

    def remark_on_versions(self, now: dict[str, str]) -> str | None:
        """Return what has changed among the libraries since, as a sentence; None when nothing has."""
        changed = [
            f"{name} (was {self.versions.get(name, 'absent')}, is {now.get(name, 'absent')})"
            for name in sorted({*self.versions, *now})
            if self.versions.get(name) != now.get(name)
        ]
        if not changed:
            return None
        return (
            f"The result may differ from that of an uninterrupted training: since then, {', '.join(changed)} "
            "changed"
        )

    def on_split(self, sha256: str) -> TrainingRequest:
        """Return the request for the images as they are now.

        Raises DatasetError when an earlier part of the run was trained on others.
        """
        if self.split_sha256 not in (None, sha256):
            raise DatasetError(
                f"{self.data} has changed since the training began: images were added, removed or altered. "
                "Put them back, or start anew with --force"
            )
        return replace(self, split_sha256=sha256)

    def with_finished(self, model: str) -> TrainingRequest:
        """Return the request with one more model done."""
        return replace(self, finished=(*(name for name in self.finished if name != model), model))

    def write(self, work: Path) -> None:
        """Write it into the folder of what is unfinished."""
        values: dict[str, Any] = {**self.__dict__, "options": self.options.to_json(), "format": _FORMAT}
        write_atomically(work / REQUEST, json.dumps(values, indent=1))

    def has_progress(self, work: Path) -> bool:
        """Return whether there is anything to go on from."""
        return bool(self.finished) or any(work.glob("*.checkpoint.npz")) or any(work.glob(f"*.{TRIALS}"))

    @staticmethod
    def delete(work: Path) -> None:
        """Remove the file: nothing is left to go on with."""
        (work / REQUEST).unlink(missing_ok=True)

    @classmethod
    def read(cls, output: Path) -> TrainingRequest:
        """Read it from the run `output`; raises OptionError when there is nothing to go on with."""
        path = output / UNFINISHED / REQUEST
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format") != _FORMAT:
                raise OptionError(
                    f"{output} was begun by another version of edge-classify. Start anew with --force"
                )
            values["options"] = TrainOptions.from_json(values["options"])
            values["finished"] = tuple(values["finished"])
            return cls(**values)
        except FileNotFoundError:
            raise OptionError(
                f"--resume {output}: there is no unfinished training. Give the folder that edge-train was "
                "writing when it was interrupted"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OptionError(f"{path} cannot be used ({error}). Start anew with --force") from None
