"""Keeps the frames that the models are unsure of or do not know: `--collect DIR`."""

from __future__ import annotations

import io
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..answers.result import Answer, FrameResult
from ..classifier import Classifier
from ..durable import make_folders
from ..errors import ImageError, OptionError
from ..parts import describe_left_over
from ..sources.addresses import redact
from ..sources.frames import EncodedPicture, FilePicture, Picture
from .folder import UNSURE, CollectFolder
from .rules import CollectRules, reasons_to_keep
from .scenes import HASH_COVER, scene_hash

RETRY_SECONDS = 60.0
_KNOWN_SCENE_SECONDS = 1.0  # A camera that shows a known scene is checked again after this time.
_JPEG_QUALITY = 95
_NAMED = 5
_JPEG_START = b"\xff\xd8\xff"


class Collector:
    """An output that keeps pictures in a folder; a problem with the disk is reported once and ends no run.

    When the folder cannot be written or is full by the rules, no frames are kept for a minute. Then the
    folder is counted again, so that collecting continues after a person has made room. `failed` counts the
    pictures that could not be read or written.
    """

    def __init__(
        self,
        folder: Path,
        rules: CollectRules,
        models: Sequence[Classifier],
        report: Callable[[str], None],
        seed: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the folder, with a folder for each class of `models`, and count its pictures.

        `report` gets remarks for people, `seed` is that of the random sample, and `clock` returns seconds.
        Raises OptionError when the folder cannot be made.
        """
        self._rules = rules
        self._thresholds = {model.name: model.threshold for model in models}
        self._report = report
        self._chance = random.Random(seed)
        self._clock = clock
        self._pace = _Pace()
        self._kept = 0
        self.failed = 0
        self._in_trouble = False
        self._must_count = False
        self._retry_at = -math.inf
        self._folder = CollectFolder(folder, (label for model in models for label in model.labels), clock)
        try:
            make_folders(folder)
            self._folder.prepare()
        except OSError as error:
            raise OptionError(
                f"--collect {folder} cannot be used ({error.strerror or error}). "
                "Name a folder that you may write to"
            ) from None
        self._report_what_is_left()

    def show(self, result: FrameResult) -> None:
        """Keep the frame if there is a reason, the rules allow it and its scene is new."""
        if result.frame.picture is None:
            return
        reasons = reasons_to_keep(result, self._rules, self._thresholds, self._chance)
        if not reasons or not self._pace.is_due(result.frame.source, result.frame.time):
            return
        if self._clock() < self._retry_at:
            return
        try:
            self._consider(result, result.frame.picture, reasons)
        except ImageError as error:
            self.failed += 1
            self._report(f"--collect: {error}")
        except OptionError as error:
            self.failed += 1
            self._give_up(str(error))
        except OSError as error:
            self.failed += 1
            self._give_up(_cannot_be_written(self._folder.root, error))
        self.refresh()

    def refresh(self) -> None:
        """Give the pictures their names that have waited for others to be synced with."""
        if self._folder.is_due:
            self._commit()

    def close(self) -> None:
        """Finish, and report how many pictures were kept."""
        self._commit()
        if self._kept:
            plural = "" if self._kept == 1 else "s"
            self._report(f"Collected {self._kept:,} picture{plural} in {self._folder.root / UNSURE}")

    def _commit(self) -> None:
        try:
            errors = self._folder.commit()
        except OSError as error:  # The folder itself cannot be synced.
            errors = [error]
        self._kept -= len(errors)
        self.failed += len(errors)
        if errors:
            self._give_up(_cannot_be_written(self._folder.root, errors[0]))

    def _report_what_is_left(self) -> None:
        """Name what a power cut or a killed program has left in the folder."""
        if remark := describe_left_over(self._folder.root / UNSURE):
            self._report(f"--collect: {remark}")
        damaged = self._folder.damaged
        if damaged:
            names = ", ".join(str(path.relative_to(self._folder.root)) for path in damaged[:_NAMED])
            more = f", and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
            self._report(
                f"--collect: {self._folder.root} holds files that are empty or cut, as after a power cut: "
                f"{names}{more}. Delete them; their scenes are collected again"
            )

    def _consider(self, result: FrameResult, picture: Picture, reasons: list[str]) -> None:
        folder, rules = self._folder, self._rules
        if self._must_count:
            folder.prepare()
            self._must_count = False
        if folder.pictures >= rules.max_files:
            held = f"{folder.root} holds {folder.pictures:,} pictures"
            self._give_up(f"{held}, and --collect-max is {rules.max_files:,}")
            return
        scene = scene_hash(picture.image(HASH_COVER))
        if folder.scenes.holds(scene):
            self._pace.wait(min(_KNOWN_SCENE_SECONDS, rules.interval))
            return
        jpeg = _as_jpeg(picture)
        if folder.bytes + len(jpeg) > rules.max_bytes:
            held = f"{folder.root} holds {folder.bytes:,} bytes, the next picture has {len(jpeg):,}"
            self._give_up(f"{held}, and --collect-bytes is {rules.max_bytes:,}")
            return
        folder.add(jpeg, scene, _record(result, reasons))
        self._kept += 1
        self._pace.wait(rules.interval)
        if self._in_trouble:
            self._in_trouble = False
            self._report(f"--collect: pictures are kept in {folder.root} again")

    def _give_up(self, trouble: str) -> None:
        """Keep no frames for a minute; report why, unless that was reported since the last kept frame."""
        self._retry_at = self._clock() + RETRY_SECONDS
        self._must_count = True
        if not self._in_trouble:
            self._report(
                f"--collect: {trouble}. No more are kept until there is room; trying again every minute"
            )
        self._in_trouble = True


class _Pace:
    """When the next frame of a source may be kept, by the time of its frames; photos have none."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._time: float | None = None
        self._until: float | None = None

    def is_due(self, source: str, time: float | None) -> bool:
        """Return whether this frame may be kept; `wait` counts from it."""
        begins = source != self._source or time is None or self._time is None or time < self._time
        if begins:
            self._until = None
        self._source, self._time = source, time
        return time is None or self._until is None or time >= self._until

    def wait(self, seconds: float) -> None:
        """Let the next frame be due this many seconds after the present frame."""
        if self._time is not None:
            self._until = self._time + seconds


def _cannot_be_written(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written ({error.strerror or error})"


def _as_jpeg(picture: Picture) -> bytes:
    """Return the picture's own bytes if they are a JPEG, else encode it; raises ImageError."""
    encoded = b""
    if isinstance(picture, EncodedPicture):
        encoded = picture.data
    elif isinstance(picture, FilePicture):
        encoded = _read(picture.path)
    if encoded.startswith(_JPEG_START):
        return encoded
    buffer = io.BytesIO()
    picture.image().save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:  # Callers take OSError for a problem of the folder.
        raise ImageError(f"{path} cannot be read ({error.strerror})") from None


def _record(result: FrameResult, reasons: list[str]) -> dict[str, object]:
    frame = result.frame
    return {
        "source": redact(frame.source),
        "frame": frame.index,
        "seconds": frame.seconds,
        "reasons": reasons,
        "models": [_to_record(answer) for answer in result.answers],
    }


def _to_record(answer: Answer) -> dict[str, object]:
    top = [{"label": s.label, "index": s.index, "score": s.score} for s in answer.prediction.top]
    doubt = {"unknown": answer.prediction.unknown, "unsure": answer.prediction.unsure}
    return {"model": answer.model, "predictions": top, **doubt}
