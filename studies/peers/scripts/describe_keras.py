"""Prints {"size": [width, height], "classes"} of a .keras file.

python describe_keras.py MODEL.keras
"""

from __future__ import annotations

import json
import sys

import keras


def main(source: str) -> None:
    """Load the file, and print the size of its input and the number of its classes."""
    model = keras.models.load_model(source, compile=False)
    _, height, width, _ = model.input_shape
    sys.stdout.write("\n" + json.dumps({"size": [width, height], "classes": model.output_shape[-1]}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
