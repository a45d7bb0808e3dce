"""The four folders are packages of one namespace: `train/` here is `edge_classify.train` when installed."""

import runpy
import sys
from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("train", "convert", "benchmarks", "edge")

# Where no runtime can be installed, pip would only say that it found no version of one.
runtimes = runpy.run_path(str(Path(__file__).with_name("edge") / "runtime_packages.py"))
if (reason := runtimes["why_no_runtime"](runtimes["PythonBuild"].here())) is not None:
    sys.exit(f"edge-classify needs a TFLite runtime, and {reason}")

setup(
    packages=[
        f"edge_classify.{package}"
        for folder in FOLDERS
        for package in (folder, *(f"{folder}.{inner}" for inner in find_packages(folder)))
    ],
    package_dir={f"edge_classify.{folder}": folder for folder in FOLDERS},
)
