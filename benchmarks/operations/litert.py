"""LiteRT's own profiler, which no Python function of it reaches: by ctypes, through its C functions.

Declared in litert/c/*.h of google-ai-edge/LiteRT, 2.x; options are texts in TOML there. Functions that are
missing, or end otherwise than with 0, mean that this version has another interface: no figures then. The
profiler sees inside XNNPACK. Another interface of the same name could crash: this runs in a child, as `main`.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_CPU = 1  # kLiteRtHwAcceleratorCpu.
_RUNS, _WARM_UP = 5, 10  # A round; what is before it.
_ROUNDS, _SECONDS = 60, 3.0
_HANDLE = ctypes.c_void_p
_TYPE_BYTES = 256  # A LiteRtRankedTensorType takes 72; it is passed on as it came.


class ProfilerError(Exception):
    """The library has another interface, or refuses the model."""


class _Library:
    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._kept: list[Any] = []  # What the library points to.

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status; whole numbers are size_t, as all but one are."""
        function = getattr(self._library, name, None)
        if function is None:
            raise ProfilerError(f"it has no function {name}")
        status = function(*(ctypes.c_size_t(a) if type(a) is int else a for a in arguments))
        if status:
            raise ProfilerError(f"{name} gave status {status}")

    def make(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function that returns an object through its last argument."""
        made = _HANDLE()
        self.call(name, *arguments, ctypes.byref(made))
        return made

    def options(self, threads: int) -> ctypes.c_void_p:
        """Return options for the processor, with profiling."""
        options = self.make("LiteRtCreateOptions")
        self.call("LiteRtSetOptionsHardwareAccelerators", options, ctypes.c_int(_CPU))
        texts = {
            "runtime_options_string": "enable_profiling = true\n",
            "xnnpack": f"num_threads = {threads}\n",
        }
        for kind, text in texts.items():
            payload = ctypes.create_string_buffer(text.encode())
            release = ctypes.CFUNCTYPE(None, _HANDLE)(lambda _: None)
            self._kept += [payload, release]
            opaque = self.make(
                "LiteRtCreateOpaqueOptions", kind.encode(), ctypes.cast(payload, _HANDLE), release
            )
            self.call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def buffers(self, side: str, environment: Any, graph: Any, compiled: Any) -> Any:
        """Return tensor buffers for all inputs, or outputs, as an array of handles."""
        count = ctypes.c_size_t()
        self.call(f"LiteRtGetNumSubgraph{side}s", graph, ctypes.byref(count))
        made = (_HANDLE * count.value)()
        for index in range(count.value):
            tensor = self.make(f"LiteRtGetSubgraph{side}", graph, index)
            kind = ctypes.create_string_buffer(_TYPE_BYTES)
            self.call("LiteRtGetRankedTensorType", tensor, kind)
            needs = self.make(f"LiteRtGetCompiledModel{side}BufferRequirements", compiled, 0, index)
            buffer = self.make("LiteRtCreateManagedTensorBufferFromRequirements", environment, kind, needs)
            made[index] = buffer.value
        return made


def find_library(package: Path) -> Path | None:
    """Return LiteRT's shared library inside its package's folder, None where there is none."""
    names = ("libLiteRt.so", "libLiteRt.dylib", "libLiteRt.dll", "LiteRt.dll")
    return next((package / name for name in names if (package / name).is_file()), None)


def _profile(library: _Library, model: Path, threads: int) -> dict[str, Any]:
    environment = library.make("LiteRtCreateEnvironment", ctypes.c_int(0), None)
    loaded = library.make("LiteRtCreateModelFromFile", environment, str(model).encode())
    compiled = library.make("LiteRtCreateCompiledModel", environment, loaded, library.options(threads))
    profiler = library.make("LiteRtCompiledModelGetProfiler", compiled)
    if not profiler.value:
        raise ProfilerError("it made no profiler")
    graph = library.make("LiteRtGetModelSubgraph", loaded, 0)
    inputs, outputs = (library.buffers(side, environment, graph, compiled) for side in ("Input", "Output"))

    def run(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            library.call("LiteRtRunCompiledModel", compiled, 0, len(inputs), inputs, len(outputs), outputs)
        return (time.perf_counter() - started) / count * 1000

    run(_WARM_UP)
    plain: list[float] = []
    profiled: list[float] = []
    summaries: list[str] = []
    end = time.monotonic() + _SECONDS
    while len(summaries) < 3 or (len(summaries) < _ROUNDS and time.monotonic() < end):
        plain.append(run(_RUNS))
        library.call("LiteRtStartProfiler", profiler)
        profiled.append(run(_RUNS))
        library.call("LiteRtStopProfiler", profiler)
        text = library.make("LiteRtGetProfileSummary", profiler, compiled)
        summaries.append(ctypes.string_at(text.value or 0).decode(errors="replace"))
    return {
        "plain_ms": statistics.median(plain),
        "profiled_ms": statistics.median(profiled),
        "summaries": summaries,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile LIBRARY MODEL THREADS and print the summaries as JSON, or {"error": ...}."""
    library, model, threads = arguments or sys.argv[1:]
    try:
        answer = _profile(_Library(Path(library)), Path(model), int(threads))
    except (ProfilerError, OSError) as error:
        answer = {"error": str(error)}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
