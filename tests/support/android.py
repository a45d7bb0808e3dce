"""An Android device. There is none here: a program called adb plays one, with a folder as /data/local/tmp."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# TensorFlow Lite 2.4 on a Xiaomi Mi 11, YOLOv5s: github.com/lp6m/yolov5s_android (its page on benchmarks).
MI_11 = """\
count=50 first=249042 curr=250889 min=247067 max=254474 avg=249684 std=1442
Inference timings in us: Init: 16242, First inference: 360262, Warmup (avg): 304586, Inference (avg): 249684
Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
Peak memory footprint (MB): init=4.92969 overall=138.809
"""  # noqa: E501
# A newer one, by way of logcat, from a guide to its lines on GitHub ("TFLite Logcat", best_int8.tflite).
WITH_MEDIAN = """\
I tflite  : count=3 first=235158 curr=200386 min=199462 max=235158 avg=211669 std=16613 p5=199462 median=200386 p95=235158
I tflite  : count=25 first=187533 curr=140990 min=140071 max=195121 avg=145528 std=13583 p5=140545 median=141253 p95=187533
I tflite  : Inference timings in us: Init: 92318, First inference: 187533, Warmup (avg): 211669, Inference (avg): 145528
I tflite  : Memory footprint delta from the start of the tool (MB): init=54.2852 overall=73.4102
"""  # noqa: E501
_ADB = """#!{python}
import os, shutil, subprocess, sys
root, arguments = {root!r}, sys.argv[1:]
there = lambda text: text.replace("/data/local/tmp", root)
if arguments == ["devices"]:
    print("* daemon started successfully\\nList of devices attached\\nR58M\\tdevice\\n")
elif arguments[:3] == ["-s", "R58M", "push"]:
    shutil.copy(arguments[3], there(arguments[4]))
elif arguments[:3] == ["-s", "R58M", "shell"]:
    facts = {{"getprop ro.product.model": "Pixel 7", "getprop ro.product.manufacturer": "Google",
             "getprop ro.build.version.release": "14", "getprop ro.soc.model": "GS201", "uname -m": "aarch64",
             "nproc": "8", "cat /proc/meminfo": "MemTotal:        7800000 kB"}}
    if arguments[3] in facts:
        print(facts[arguments[3]])
    else:
        sys.exit(subprocess.run(["sh", "-c", there(arguments[3])]).returncode)
"""
_TOOL = """#!/bin/sh
echo "$@" >>{log}
case "$1" in *_1.tflite) echo "ERROR: Didn't find op ADD"; echo Failed to initialize.; exit 1;; esac
cat <<'END'
{said}END
"""


def install_adb(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an adb with one device into the PATH, and return the folder that plays /data/local/tmp."""
    root, programs = folder / "phone", folder / "programs"
    root.mkdir()
    programs.mkdir()
    (programs / "adb").write_text(_ADB.format(python=sys.executable, root=str(root)))
    (programs / "adb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return root


def write_tool(folder: Path, said: str) -> Path:
    """Write a benchmark_model that prints this, and fails for the second model."""
    path = folder / "android_tool"
    path.write_text(_TOOL.format(log=folder / "log", said=said))
    return path
