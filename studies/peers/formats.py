"""The same Keras model in the format of each runtime, made once and kept under build/peers."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_classify.edge.console import say

from studies.peers.environments import call, environment, tools
from studies.peers.errors import PeerError

SCRIPTS = Path(__file__).parent / "scripts"
Files = dict[str, Path | PeerError]


@dataclass(frozen=True)
class Source:
    """A model to convert, with the pictures for the calibration of int8.

    `calibration` are the files, and `pixels` is a .npy file, uint8 [pictures, height, width, 3].
    `labels` is a file with a line for each class, `build` the folder of the environments.
    """

    keras: Path
    size: tuple[int, int]
    calibration: tuple[Path, ...]
    pixels: Path
    labels: Path
    build: Path


def make_files(source: Source, kept: Path, wanted: set[str]) -> Files:
    """Return the path of each file, or the error. `kept` is the folder with the files of former runs."""
    found: Files = {"keras": source.keras}
    wanted = wanted | {"onnx-float32" for key in wanted if key in _FROM_ONNX}
    for names, make in _MAKERS.items():
        keys = [name.partition("/")[0] for name in names]
        if not wanted & set(keys):
            continue
        targets = [kept / name.replace("/", "") for name in names]
        try:
            if not all(path.exists() for path in targets):
                say(f"Making {', '.join(keys)}")
                _make(source, found, targets, make)
            found.update(zip(keys, targets, strict=True))
        except PeerError as error:
            found.update(dict.fromkeys(keys, error))
    found["ncnn-int8"] = PeerError(
        "its wheels hold no tools to quantize with (ncnn2table, ncnn2int8), and pnnx keeps no int8 of ONNX"
    )
    return found


Maker = Callable[[Source, Files, Sequence[Path]], None]


def _make(source: Source, found: Files, targets: Sequence[Path], make: Maker) -> None:
    """Make files in a temporary folder, and move them: a half-written file is never used."""
    targets[0].parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=targets[0].parent, prefix="unfinished-") as name:
        folder = Path(name)
        make(source, found, [folder / target.name for target in targets])
        for path in folder.iterdir():  # Formats of two files have the second beside the first.
            if path.is_file():
                path.replace(targets[0].parent / path.name)


def _make_tflite(source: Source, found: Files, targets: Sequence[Path]) -> None:
    folder = targets[0].parent
    calibration = folder / "calibration"
    calibration.mkdir()
    for number, path in enumerate(source.calibration):
        (calibration / f"{number:04d}{path.suffix}").symlink_to(path.resolve())
    shutil.copy(source.keras, folder / "model.keras")  # Beside a card it would be a run of edge-train.
    call([
        Path(sys.executable).parent / "edge-convert", folder / "model.keras", "--output", folder / "made",
        "--variant", "float32", "--variant", "int8", "--labels", source.labels, "--normalization", "0..255",
        "--calibration", calibration, "--calibration-images", str(len(source.calibration)),
        "--max-drop", "100",
    ])  # fmt: skip
    (folder / "model.keras").unlink()
    for target, kind in zip(targets, ("float32", "int8"), strict=True):
        (folder / "made" / f"model_{kind}.tflite").replace(target)


def _make_onnx(source: Source, found: Files, targets: Sequence[Path]) -> None:
    packages = tools("onnx-tools", source.build)
    call([sys.executable, SCRIPTS / "make_onnx.py", source.keras, source.pixels, *targets], packages)


def _make_openvino(source: Source, found: Files, targets: Sequence[Path]) -> None:
    python = environment("nncf", source.build).python
    call([python, SCRIPTS / "make_openvino.py", _need(found, "onnx-float32"), source.pixels, *targets])


def _make_ncnn(source: Source, found: Files, targets: Sequence[Path]) -> None:
    program = tools("onnx-tools", source.build) / "pnnx" / "pnnx"
    width, height = source.size
    with tempfile.TemporaryDirectory() as folder:  # It writes nine files beside the one that it reads.
        onnx = shutil.copy(_need(found, "onnx-float32"), folder)
        parameters, weights = targets[0], targets[0].with_suffix(".bin")
        call([program, onnx, f"inputshape=[1,{height},{width},3]",
              f"ncnnparam={parameters}", f"ncnnbin={weights}"])  # fmt: skip
    if not parameters.is_file():
        raise PeerError("pnnx ended without an error and wrote no file")


def _need(found: Files, key: str) -> Path:
    path = found[key]
    if isinstance(path, PeerError):
        raise PeerError(f"there is no {key} to convert: {path}")
    return path


_FROM_ONNX = ("openvino-int8", "ncnn-float32")
# KEY/SUFFIX of the files that are made together, in an order in which each finds what it needs.
_MAKERS: dict[tuple[str, ...], Maker] = {
    ("tflite-float32/.tflite", "tflite-int8/.tflite"): _make_tflite,
    ("onnx-float32/.onnx", "onnx-int8/.onnx"): _make_onnx,
    ("openvino-int8/.xml",): _make_openvino,
    ("ncnn-float32/.param",): _make_ncnn,
}
