"""Runs models with an old tflite-runtime, in an environment that has nothing of this project.

Reads {"models": [path], "pixels": path of a .npy, uint8 [n, height, width, 3]} and prints {model: [scores of
each picture]}, or {model: the text of its error}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from tflite_runtime.interpreter import Interpreter


def run(model: str, pictures: Any) -> list[list[float]] | str:
    try:
        interpreter = Interpreter(model_path=model)
    except ValueError as error:
        return str(error)
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = result["quantization"]
    answers: list[list[float]] = []
    for pixels in pictures:
        interpreter.set_tensor(given["index"], pixels[None].astype(given["dtype"]))
        interpreter.invoke()
        stored = interpreter.get_tensor(result["index"])[0].astype(np.float64)
        answers.append(((stored - zero_point) * (scale or 1)).tolist())
    return answers


work = json.load(sys.stdin)
pictures = np.load(work["pixels"])
print(json.dumps({model: run(model, pictures) for model in work["models"]}))  # noqa: T201
