"""The benchmark tool in ai-edge-litert's wheel (litert-benchmark), which only times itself."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "ai-edge-litert"
_MODULE = "ai_edge_litert.tools.benchmark_litert_model"


class _Model:
    remark = "starts a new process for each block, and reports the median itself"

    def __init__(self, model: str, threads: int) -> None:
        self._command = [sys.executable, "-m", _MODULE, f"--model={model}", f"--num_threads={threads}"]

    def time_block(self, runs: int) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            command = [*self._command, f"--num_runs={runs}", f"--result_json={report}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
                raise RuntimeError(f"litert-benchmark failed: {lines[-1]}")
            return [float(json.loads(report.read_text(encoding="utf-8"))["latency"]["median_ms"])]


def open_model(model: str, threads: int, size: tuple[int, int]) -> _Model:
    """Name a .tflite file; the tool opens it in each block."""
    return _Model(model, threads)
