"""Results of the runner, with the answers that a test chooses."""

from __future__ import annotations

import numpy as np
from edge_classify.edge.answers.result import Answer, FrameResult
from edge_classify.edge.classifier import Doubt, Prediction, Score
from edge_classify.edge.sources.frames import Frame, ReadyPicture
from PIL import Image

Scores = dict[str, float]
CAT: Scores = {"tabby cat": 0.873, "tiger": 0.091, "lynx": 0.02}
NOTHING = ReadyPicture(Image.new("RGB", (64, 48), "navy"))


def answer(scores: Scores = CAT, doubt: Doubt | None = None, model: str = "small") -> Answer:
    top = tuple(Score(label, index, score) for index, (label, score) in enumerate(scores.items()))
    values = np.array(list(scores.values()), np.float32)
    last = Score("unknown", len(scores), 0.65) if doubt is Doubt.UNKNOWN else None
    threshold = 0.8 if doubt is Doubt.UNSURE else None
    return Answer(model, Prediction(top, doubt, values, 12.3456, last), 3.2101, threshold)


def photo(name: str, *answers: Answer, picture: Image.Image | None = None) -> FrameResult:
    shown = ReadyPicture(picture) if picture else NOTHING
    return FrameResult(Frame(name, shown), answers or (answer(),))


def live(index: int, *answers: Answer, picture: Image.Image | None = None) -> FrameResult:
    shown = ReadyPicture(picture) if picture else NOTHING
    return FrameResult(
        Frame("camera 0", shown, index=index, grabbed=100.0 + index), answers or (answer(),), 38.04
    )


def failure(name: str, reason: str, index: int | None = None) -> FrameResult:
    return FrameResult(Frame(name, None, reason, index))
