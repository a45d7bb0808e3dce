"""The request of a run and its finished models: everything that --resume needs beside the checkpoints."""

from __future__ import annotations

import json
import re
import reprlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..edge.errors import DatasetError, OptionError
from ..edge.files import write_atomically
from ..edge.json_files import JsonError, read_json, structured
from .backbones import WEIGHT_KINDS
from .built_in import BUILT_IN
from .cli_options import check_values
from .label_keeping import LabelKeeping
from .options import AUTO, MODELS, TrainOptions
from .output import REQUEST, TRIALS, UNFINISHED
from .starting_points import FAMILIES, StartingPoint

_FORMAT = 2
_STARTING_POINTS = {point for family in FAMILIES for point in family}
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class TrainingRequest:
    """The arguments of a run, the hash of its split once it is known, and the finished models.

    `folder` is the working directory of the command, `versions` are those of the libraries. `keeping` is what
    was measured about the labels of changed images (None: not yet), so that a resumed run augments alike.
    `starting_point` is what --model auto chose (None: not yet), so that it trains the same network.
    `teaching_sha256` is the hash of what --teacher and --unlabelled name, once it is known.
    """

    data: str
    options: TrainOptions
    command: str
    folder: str
    versions: dict[str, str]
    split_sha256: str | None = None
    finished: tuple[str, ...] = ()
    keeping: tuple[LabelKeeping, ...] | None = None
    starting_point: StartingPoint | None = None
    teaching_sha256: str | None = None

    @property
    def trained_options(self) -> TrainOptions:
        """The options, with what --model auto chose in the place of auto, once it is known."""
        return self.starting_point.on(self.options) if self.starting_point else self.options

    def require_files(self) -> None:
        """Raise OptionError if a file with a relative path is not found from here, but from `folder`."""
        files = [self.data, self.options.weights, *self.options.image_labels]
        files += [name for name in (self.options.teacher, self.options.unlabelled) if name]
        named = [name for name in files if name not in (*BUILT_IN, *WEIGHT_KINDS, *MODELS)]
        for name in named:
            if not Path(name).exists() and Path(self.folder, name).exists():
                raise OptionError(
                    f"{name} is not found from here. Give --resume in the folder where the training began: "
                    f"{self.folder}"
                )

    def remark_on_versions(self, now: dict[str, str]) -> str | None:
        """Return a sentence about the libraries that have changed since; None if none has."""
        changed = [
            f"{name} (was {self.versions.get(name, 'absent')}, is {now.get(name, 'absent')})"
            for name in sorted({*self.versions, *now})
            if self.versions.get(name) != now.get(name)
        ]
        if not changed:
            return None
        return (
            f"The result may differ from that of an uninterrupted training, because libraries have changed: "
            f"{', '.join(changed)}"
        )

    def on_split(self, sha256: str) -> TrainingRequest:
        """Return the request with the hash of the split of the current images.

        Raises DatasetError if an earlier part of the run was trained on other images.
        """
        if self.split_sha256 not in (None, sha256):
            raise DatasetError(
                f"{self.data} has changed since the training began: images were added, removed or altered. "
                "Put them back, or start again with --force"
            )
        return replace(self, split_sha256=sha256)

    def with_teaching(self, sha256: str) -> TrainingRequest:
        """Return the request with the hash of the teacher and of the images without labels.

        Raises OptionError if an earlier part of the run has learned from others.
        """
        if self.teaching_sha256 not in (None, sha256):
            named = [f"--teacher {self.options.teacher}"]
            named += [f"--unlabelled {self.options.unlabelled}"] if self.options.unlabelled else []
            raise OptionError(
                f"{' or '.join(named)} has changed since the training began. Put the files back, or start "
                "again with --force"
            )
        return replace(self, teaching_sha256=sha256)

    def with_keeping(self, keeping: tuple[LabelKeeping, ...]) -> TrainingRequest:
        """Return the request with what was measured about the labels of changed images."""
        return replace(self, keeping=keeping)

    def with_starting_point(self, point: StartingPoint) -> TrainingRequest:
        """Return the request with what --model auto chose."""
        return replace(self, starting_point=point)

    def with_finished(self, model: str) -> TrainingRequest:
        """Return the request with one more finished model."""
        return replace(self, finished=(*(name for name in self.finished if name != model), model))

    def write(self, work: Path) -> None:
        """Write the request into the folder `work`."""
        keeping = None if self.keeping is None else [each.to_json() for each in self.keeping]
        point = asdict(self.starting_point) if self.starting_point else None
        values: dict[str, Any] = {
            **self.__dict__, "options": self.options.to_json(), "keeping": keeping, "starting_point": point,
            "format": _FORMAT
        }  # fmt: skip
        write_atomically(work / REQUEST, json.dumps(values, indent=1))

    def has_progress(self, work: Path) -> bool:
        """Return whether there is a result that a later process could continue."""
        return bool(self.finished) or any(work.glob("*.checkpoint.npz")) or any(work.glob(f"*.{TRIALS}"))

    @staticmethod
    def delete(work: Path) -> None:
        """Remove the file: nothing is left to continue."""
        (work / REQUEST).unlink(missing_ok=True)

    @classmethod
    def read(cls, output: Path) -> TrainingRequest:
        """Read the request from the run `output`, which may be anybody's.

        Raises OptionError if there is nothing to continue, and for a request that edge-train does not write:
        the names in it become names of files.
        """
        path = output / UNFINISHED / REQUEST
        try:
            # The paths of a user may hold bytes that are not text.
            values = read_json(output, f"{UNFINISHED}/{REQUEST}", most=_MOST_BYTES, any_text=True)
            if not isinstance(values, dict) or "format" not in values:
                raise JsonError("format is missing")
            if values.pop("format") != _FORMAT:
                raise OptionError(
                    f"{output} was begun by another version of edge-classify. Start again with --force"
                )
            request = structured(cls, values, exact=True)
            request._check()
        except FileNotFoundError:
            raise OptionError(
                f"--resume {output}: there is no unfinished training. Give the folder that edge-train was "
                "writing when it was interrupted"
            ) from None
        except JsonError as error:
            raise OptionError(f"{path} cannot be used ({error}). Start again with --force") from None
        return request

    def _check(self) -> None:
        """Raise JsonError for values that the command line would not have taken, or that nothing writes."""
        check_values(self.options)
        if self.options.is_auto != bool(self.options.budget) or AUTO in self.trained_options.models[1:]:
            raise JsonError("--model auto and --budget go together, without other models")
        if self.starting_point and (not self.options.is_auto or self.starting_point not in _STARTING_POINTS):
            raise JsonError("starting_point is none that --model auto chooses")
        for number, name in enumerate(self.finished):
            if name not in self.trained_options.models:
                raise JsonError(
                    f"finished[{number}] is none of the models of this training. Received: {name[:50]!r}"
                )
        for name in ("split_sha256", "teaching_sha256"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch("[0-9a-f]{64}", value):
                raise JsonError(f"{name} is no SHA-256. Received: {reprlib.repr(value)}")
        if self.options.unlabelled and not self.options.teacher:
            raise JsonError("--unlabelled goes with --teacher")
