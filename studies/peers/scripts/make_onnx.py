"""Turns a .keras file into ONNX, float32 and int8.

    python make_onnx.py MODEL.keras PIXELS.npy FLOAT.onnx INT8.onnx

Keras's own export (tf2onnx), then the fusing of layers that ONNX Runtime's guide to quantization asks for,
which helps the others that read ONNX too. int8 is static, in QDQ format, each channel of the weights apart;
activations are uint8, for which ONNX Runtime has the faster kernels on x86. PIXELS is uint8
[pictures, height, width, 3].
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

_INPUT = "pixels"


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # The package has no types.
    def __init__(self, pixels: Any) -> None:
        self._pictures = iter(pixels)

    def get_next(self) -> dict[str, Any] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {_INPUT: np.asarray(picture, np.float32)[None]}


def main(source: str, pixels: str, float_file: str, int8_file: str) -> None:
    """Export, fuse and quantize."""
    model = keras.models.load_model(source, compile=False)
    shape = (1, *model.input_shape[1:])
    model(np.zeros(shape, np.float32))  # Keras exports only what was called.
    exported = str(Path(float_file).with_suffix(".raw.onnx"))
    signature = [keras.InputSpec(shape=shape, dtype="float32", name=_INPUT)]
    model.export(exported, format="onnx", verbose=False, input_signature=signature)
    quant_pre_process(exported, float_file, skip_symbolic_shape=True)
    Path(exported).unlink()
    quantize_static(
        float_file,
        int8_file,
        _Reader(np.load(pixels)),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
