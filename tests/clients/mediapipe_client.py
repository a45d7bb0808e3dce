"""Classifies pictures with MediaPipe Tasks, in an environment that has nothing of this project.

Reads {"models": [path], "pictures": [path]} and prints {model: [{label: score} for each picture]}.
"""

from __future__ import annotations

import json
import sys

import mediapipe
from mediapipe.tasks.python import BaseOptions, vision


def classify(model: str, pictures: list[str]) -> list[dict[str, float]]:
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        results = [classifier.classify(mediapipe.Image.create_from_file(path)) for path in pictures]
    return [
        {category.category_name: category.score for category in result.classifications[0].categories}
        for result in results
    ]


work = json.load(sys.stdin)
print(json.dumps({model: classify(model, work["pictures"]) for model in work["models"]}))  # noqa: T201
