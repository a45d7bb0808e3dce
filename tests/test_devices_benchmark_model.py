"""What benchmark_model prints, recorded by others, and what we make of it."""

from __future__ import annotations

import pytest
from edge_classify.benchmarks.devices.android import ToolFigures, parse_figures
from edge_classify.edge.errors import BenchmarkError

from .support.android import MI_11, WITH_MEDIAN

# TensorFlow Lite 2.8 on emulated RISC-V: github.com/NobuoTsukamoto/meta-tensorflow-lite (its page on the
# benchmark tool; the tables of the profiler are left out).
RISCV = """\
STARTING!
Log parameter values verbosely: [0]
Num threads: [4]
Graph: [./mobilenet_v1_1.0_224.tflite]
Enable op profiling: [1]
#threads used for CPU inference: [4]
Loaded model ./mobilenet_v1_1.0_224.tflite
The input model file size (MB): 16.9008
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
Memory footprint delta from the start of the tool (MB): init=4.21094 overall=46.0859
Profiling Info for Benchmark Initialization:
Timings (microseconds): count=1 curr=1356
Memory (bytes): count=0
Operator-wise Profiling Info for Regular Benchmark Runs:
Timings (microseconds): count=50 first=2989660 curr=2912978 min=2727203 max=3189476 avg=2.9499e+06 std=109770
Memory (bytes): count=0
31 nodes observed
"""  # noqa: E501
# On ChromeOS with --report_peak_memory_footprint, from notes on its test mlbenchmark on GitHub.
WITH_PEAK = """\
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: Initialized session in 3.337ms.
INFO: count=9 first=81913 curr=55502 min=55502 max=81913 avg=58984.7 std=8115
INFO: count=1061 first=56576 curr=56299 min=54669 max=60236 avg=56265.8 std=982
INFO: Inference timings in us: Init: 3337, First inference: 81913, Warmup (avg): 58984.7, Inference (avg): 56265.8
INFO: Overall peak memory footprint (MB) via periodic monitoring: 93.2383
"""  # noqa: E501
# The manual, ai.google.dev/edge/litert/models/measurement.
MANUAL = "... tflite  : Inference timings in us: Init: 5685, First inference: 18535, Warmup (avg): 14462.3, Inference (avg): 14575.2"  # noqa: E501
# The same phone as above, where an accelerator does not take the model.
FAILED = """\
Loaded model /data/local/tmp/yolov5s_int8_640.tflite
INFO: Initialized TensorFlow Lite runtime.
ERROR: NN API returned error ANEURALNETWORKS_OP_FAILED at line 3779 while completing NNAPI compilation.

ERROR: Node number 248 (TfLiteNnapiDelegate) failed to prepare.

ERROR: Restored original execution plan after delegate application failure.
Failed to apply NNAPI delegate.
Benchmarking failed.
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RISCV, ToolFigures(17.187, 3512.391, 3512.39, 2950.34, 50, 2727.568, 3189.954, 109.798,
                        memory_growth_mb=48.3246)),
        (MI_11, ToolFigures(16.242, 360.262, 304.586, 249.684, 50, 247.067, 254.474, 1.442,
                        memory_growth_mb=145.5518)),
        (WITH_MEDIAN, ToolFigures(92.318, 187.533, 211.669, 145.528, 25, 140.071, 195.121, 13.583,
                              141.253, 187.533, memory_growth_mb=76.9762)),
        (WITH_PEAK, ToolFigures(3.337, 81.913, 58.9847, 56.2658, 1061, 54.669, 60.236, 0.982,
                            peak_memory_mb=97.7674)),
        (MANUAL, ToolFigures(5.685, 18.535, 14.4623, 14.5752)),
    ],
)  # fmt: skip
def test_recorded_outputs_are_read_in_milliseconds(text: str, expected: ToolFigures) -> None:
    assert vars(parse_figures(text)) == pytest.approx(vars(expected), abs=1e-4)


def test_average_never_becomes_a_median() -> None:
    assert parse_figures(RISCV).median_ms is None
    assert parse_figures(MANUAL).median_ms is None


def test_output_without_figures_is_an_error_with_its_complaint() -> None:
    with pytest.raises(BenchmarkError, match=r"^Failed to apply NNAPI delegate\.$"):
        parse_figures(FAILED)
    with pytest.raises(BenchmarkError, match="it printed nothing"):
        parse_figures("")
