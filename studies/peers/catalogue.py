"""The rows of the table: runtimes that a user might choose instead, each with the file that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["float32", "int8"]


@dataclass(frozen=True)
class Peer:
    """A row of the table: one runtime with one file.

    `script` is a module of scripts/, and `options` are arguments of its `open_model` beside file, threads and
    size. `environment` is a file of requirements/ without its suffix; None for this Python, where `packages`
    are counted. `file` is a key of formats.py's `Files`. A tool that only times itself has no
    `answers`.
    """

    key: str
    title: str
    kind: Kind
    script: str
    environment: str | None
    file: str
    options: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()
    answers: bool = True

    @property
    def base(self) -> str:
        """The key of edge-classify's row with the same kind of file."""
        return f"edge-classify-{self.kind}"


REFERENCE = "keras-predict"  # All answers are compared with its answers.

_TENSORFLOW = ("tensorflow", "pillow")

PEERS = (
    Peer("edge-classify-float32", "edge-classify", "float32", "ours", "edge-classify", "tflite-float32"),
    Peer("edge-classify-int8", "edge-classify", "int8", "ours", "edge-classify", "tflite-int8"),
    Peer("label-image-float32", "label_image script", "float32", "label_image", "litert", "tflite-float32"),
    Peer("label-image-int8", "label_image script", "int8", "label_image", "litert", "tflite-int8"),
    Peer("litert-tool-float32", "litert-benchmark", "float32", "litert_tool", "litert", "tflite-float32",
         answers=False),
    Peer("litert-tool-int8", "litert-benchmark", "int8", "litert_tool", "litert", "tflite-int8",
         answers=False),
    Peer("tf-lite-float32", "tf.lite of TensorFlow", "float32", "tensorflow_lite", None, "tflite-float32",
         packages=_TENSORFLOW),
    Peer("tf-lite-int8", "tf.lite of TensorFlow", "int8", "tensorflow_lite", None, "tflite-int8",
         packages=_TENSORFLOW),
    Peer(REFERENCE, "Keras predict", "float32", "keras_predict", None, "keras",
         packages=("keras", *_TENSORFLOW)),
    Peer("onnxruntime-float32", "ONNX Runtime", "float32", "onnx_runtime", "onnxruntime", "onnx-float32"),
    Peer("onnxruntime-int8", "ONNX Runtime", "int8", "onnx_runtime", "onnxruntime", "onnx-int8"),
    Peer("openvino", "OpenVINO as it comes", "float32", "open_vino", "openvino", "onnx-float32"),
    Peer("openvino-float32", "OpenVINO, precision f32", "float32", "open_vino", "openvino", "onnx-float32",
         options=(("precision", "f32"),)),
    Peer("openvino-int8", "OpenVINO, int8 by NNCF", "int8", "open_vino", "openvino", "openvino-int8"),
    Peer("openvino-onnx-int8", "OpenVINO, int8 by ONNX Runtime", "int8", "open_vino", "openvino",
         "onnx-int8"),
    Peer("ncnn-float32", "ncnn", "float32", "tencent_ncnn", "ncnn", "ncnn-float32"),
    Peer("ncnn-int8", "ncnn", "int8", "tencent_ncnn", "ncnn", "ncnn-int8"),
    Peer("opencv-float32", "OpenCV DNN", "float32", "opencv_dnn", "opencv", "onnx-float32",
         options=(("engine", "auto"),)),
    # The new engine of OpenCV 5.0 refuses models in QDQ format.
    Peer("opencv-int8", "OpenCV DNN, classic engine", "int8", "opencv_dnn", "opencv", "onnx-int8",
         options=(("engine", "classic"),)),
)  # fmt: skip
