"""How many pictures a second the runner answers, with one worker or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from ...edge.classifier import Classifier
from ...edge.running.look import look_in_turn
from ...edge.running.pool import look_in_parallel
from ...edge.sources.frames import FilePicture, Frame

SECONDS = 1.0
_FEWEST = 16  # Different pictures, where there are so many: they differ in size.
_SETTLE = 4  # Pictures for each worker before and behind those that count, so that all workers are busy.


def pictures_per_second(
    classifier: Classifier, paths: Sequence[Path], workers: int, picture_ms: float
) -> float:
    """Return the rate of at least about SECONDS of work, in whole passes over the first of `paths`.

    `picture_ms` is what a picture takes one worker, which decides how many there are. With one worker they
    are looked at as edge-classify looks at a single photo, with several by its pool for folders. Raises
    ModelFileError when the model fails.
    """
    enough = math.ceil(SECONDS * 1000 / max(picture_ms, 0.001))
    chosen = paths[: max(_FEWEST, enough)]
    counted = len(chosen) * math.ceil(enough * workers / len(chosen))
    settle = _SETTLE * workers
    every = (Frame(str(path), FilePicture(path)) for path in cycle(chosen))
    frames = islice(every, settle + counted + settle)
    if workers == 1:
        looking = look_in_turn(frames, [classifier])
    else:
        looking = look_in_parallel(frames, [classifier], workers)
    finished = sorted(seen.finished for seen in looking)
    return counted / (finished[settle + counted - 1] - finished[settle - 1])
