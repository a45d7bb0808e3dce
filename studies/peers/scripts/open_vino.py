"""OpenVINO on the CPU, tuned for the time of one answer."""

from __future__ import annotations

from typing import Any

import openvino

PACKAGE = "openvino"


class _Model:
    def __init__(self, model: str, threads: int, precision: str | None) -> None:
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if precision is not None:
            options["INFERENCE_PRECISION_HINT"] = precision
        compiled = openvino.Core().compile_model(model, "CPU", options)
        self._request = compiled.create_infer_request()
        chosen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.remark = "" if precision else f"computes floats in {chosen}"

    def run(self, tensor: Any) -> Any:
        self._request.infer({0: tensor}, share_inputs=True)
        return self._request.get_output_tensor(0).data[0]


def open_model(model: str, threads: int, size: tuple[int, int], precision: str | None = None) -> _Model:
    """Open an .onnx or .xml file; `precision` is f32, or None where OpenVINO chooses it."""
    return _Model(model, threads, precision)
