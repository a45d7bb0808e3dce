"""Pictures drawn from what the program writes: a signed file, a service's states, processes, a regression.

Run: python -m manual.pictures.drawn WORKSPACE (an example workspace; it is copied, and stays as it is)
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge_classify.edge.appended import read_directory
from edge_classify.edge.service.unit import build_unit
from edge_classify.edge.tflite.model import EditableModel

from manual.run import copy_workspace
from manual.workspace import environment

from .paper import BLUE, GREEN, GREY, INK, ORANGE, PALE, RED, new_figure, save
from .photos import MODEL, command


def draw_signed(folder: Path) -> None:
    """Show the parts of a signed file, and what the signature covers."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "release"], cwd=folder, check=True)
    command(folder, "edge-convert", MODEL, "--sign", "release", "--model-version", "7", "-o", "signed")
    path = folder / "signed" / Path(MODEL).name
    data, directory = path.read_bytes(), read_directory(path)
    block = data[data.rindex(b"edge-classify signature") :].decode("ascii").splitlines()
    weights = sum(t.constant_bytes for t in EditableModel(data[: directory.start]).graph.tensors)
    files = ", ".join(file.name for file in directory.files)
    parts = [
        (f"model: {directory.start:,} bytes", f"of them weights: {weights:,}", BLUE),
        ("zip", files.replace(", golden_0", ",\ngolden_0"), ORANGE),
        (block[1], "", GREEN),
        ("public key", f"{len(block[2].split()[1]) // 2} bytes", GREEN),
        ("signature", f"{len(block[3].split()[1]) // 2} bytes", RED),
    ]
    figure, axes = new_figure(3.6)
    axes.set_xlim(0, 10)
    axes.set_ylim(len(parts) + 0.1, -0.1)
    axes.axis("off")
    for place, (name, says, color) in enumerate(parts):
        axes.barh(place + 0.5, 0.5, left=0, height=0.9, color=color)
        axes.text(0.8, place + (0.28 if says else 0.5), name, va="center", weight="bold")
        axes.text(0.8, place + 0.68, says, va="center", color=INK)
    axes.plot([8.3, 8.6, 8.6, 8.3], [0.08, 0.08, 3.92, 3.92], color=GREY)
    axes.text(8.8, 2, "signed", rotation=90, va="center")
    save(figure, "signed-file")


def draw_service() -> None:
    """Show when a service is started again, by the lines of its unit."""
    unit = build_unit("door", ["edge-classify"], {}, {}).text
    pause, watchdog, ends = (
        re.search(rf"^{key}=(\d+)", unit, re.MULTILINE)[1]  # type: ignore[index]
        for key in ("RestartSec", "WatchdogSec", "RestartPreventExitStatus")
    )
    figure, axes = new_figure(3.0)
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 6)
    axes.axis("off")
    _box(axes, 0.2, 3.6, 2.6, "waits\n" + f"{pause} s", PALE)
    _box(axes, 3.8, 3.6, 2.6, "runs", GREEN)
    _box(axes, 7.2, 3.6, 2.6, "stopped\nfor good", PALE)
    axes.annotate("", (3.8, 4.9), (2.8, 4.9), arrowprops={"arrowstyle": "->"})
    axes.annotate("", (2.8, 4.1), (3.8, 4.1), arrowprops={"arrowstyle": "->"})
    axes.annotate("", (7.2, 4.5), (6.4, 4.5), arrowprops={"arrowstyle": "->"})
    axes.text(0.2, 2.6, "it ended, whatever the reason, or gave", va="center")
    axes.text(0.2, 1.8, f"no sign of life for {watchdog} s", va="center")
    axes.text(9.8, 0.9, f"its options are wrong: exit status {ends}", va="center", ha="right")
    axes.text(9.8, 0.1, "or you stopped it", va="center", ha="right")
    axes.plot([3.3, 3.3], [4.0, 2.9], color=GREY, linewidth=0.8)
    axes.plot([6.8, 6.8], [4.4, 1.2], color=GREY, linewidth=0.8)
    save(figure, "service-states")


def draw_processes() -> None:
    """Show which processes --untrusted starts, and what each may reach."""
    figure, axes = new_figure(3.6)
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 7.2)
    axes.axis("off")
    _box(axes, 2.4, 5.3, 5.2, "edge-classify\nwith your rights", PALE)
    _box(axes, 0.2, 2.2, 4.2, "runs the model", ORANGE)
    _box(axes, 5.6, 2.2, 4.2, "decodes pictures", ORANGE)
    for left, says in ((2.3, "pixels →\n← numbers"), (7.7, "bytes →\n← pixels")):
        axes.annotate("", (left, 4.0), (left, 5.3), arrowprops={"arrowstyle": "<->"})
        axes.text(left + 0.2, 4.65, says, va="center")
    axes.text(5, 1.3, "both: no other file, no network, no program,", ha="center", va="center")
    axes.text(5, 0.5, "limited memory and time", ha="center", va="center")
    save(figure, "untrusted-processes")


def draw_gate(folder: Path) -> None:
    """Show the accuracy of a file before and after its labels were exchanged, with intervals."""
    results = {}
    (folder / "sorted.txt").write_text("plate\nmug\nspoon\n", encoding="utf-8")
    for name in ("before", "now"):
        output = folder / f"{name}.jsonl"
        measure = ["edge-benchmark", "models/cnn_float32.tflite", MODEL, "--data", "run", "--runs", "50"]
        words = [*measure, "--processes", "1", "--output", str(output)]
        # The exit status of the second is 1: it is right no more often than by chance.
        subprocess.run(
            words, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        records = map(json.loads, output.read_text(encoding="utf-8").splitlines())
        results[name] = next(found for found in records if found["file"] == MODEL)
        if name == "before":
            command(folder, "edge-convert", "--seal", MODEL, "--labels", "sorted.txt", "-o", "sorted")
            shutil.copy(folder / "sorted" / Path(MODEL).name, folder / MODEL)
    figure, axes = new_figure(2.2)
    for place, (name, found) in enumerate(results.items()):
        low, high = found["top1_ci95"]
        color = BLUE if name == "before" else RED
        axes.plot([100 * low, 100 * high], [place, place], color=color, linewidth=4)
        axes.plot([100 * found["top1"]], [place], "o", color=color, markersize=9)
    axes.set_yticks([0, 1], list(results))
    axes.set_ylim(1.6, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("top-1 of cnn_int8, % (95 % interval)")
    save(figure, "ci-gate")


def _box(axes: Any, left: float, low: float, width: float, says: str, color: str) -> None:
    axes.bar(left, 1.8, width, low, align="edge", color=color, edgecolor=INK)
    axes.text(left + width / 2, low + 0.9, says, ha="center", va="center")


def main(workspace: Path) -> None:
    """Make all of them."""
    draw_service()
    draw_processes()
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_workspace(workspace, Path(scratch) / "example")
        draw_signed(folder)
        draw_gate(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
