"""Quantizes an ONNX model the way OpenVINO's guide does, with NNCF.

    python make_openvino.py FLOAT.onnx PIXELS.npy INT8.xml

PIXELS is uint8 [pictures, height, width, 3].
"""

from __future__ import annotations

import sys
from typing import Any

import nncf
import numpy as np
import openvino


def main(source: str, pixels: str, output: str) -> None:
    """Quantize with all the pictures, and write the .xml and its .bin."""
    pictures = np.load(pixels)

    def prepare(picture: Any) -> Any:
        return np.asarray(picture, np.float32)[None]

    model = openvino.Core().read_model(source)
    quantized = nncf.quantize(model, nncf.Dataset(pictures, prepare), subset_size=len(pictures))
    openvino.save_model(quantized, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
