"""Usage: python studies/cold_start.py MODEL.tflite PHOTO [--rounds 31]

Claim: one photo, as a whole process, takes 1.2 times as long as a script of 20 lines with Pillow and LiteRT.

Both classify the same photo with the same model in a new process, in turn. Printed are medians of wall time
and of the peak of resident memory, as the system reports it for the child process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

SCRIPT = """
import sys
import numpy as np
from PIL import Image, ImageOps
from ai_edge_litert.interpreter import Interpreter

model, photo = sys.argv[1:]
interpreter = Interpreter(model)
interpreter.allocate_tensors()
given = interpreter.get_input_details()[0]
result = interpreter.get_output_details()[0]
_, height, width, _ = given["shape"]
with Image.open(photo) as image:
    picture = ImageOps.exif_transpose(image).convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
interpreter.set_tensor(given["index"], np.asarray(picture, given["dtype"])[None])
interpreter.invoke()
scale, zero_point = result["quantization"]
values = (interpreter.get_tensor(result["index"])[0].astype(np.float32) - zero_point) * (scale or 1)
for index in values.argsort()[::-1][:3]:
    print(index, f"{values[index]:.1%}")
"""


def cost(command: list[str]) -> tuple[float, float]:
    """Return seconds and peak MB of a command."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{command[0]} ended with status {process.returncode}")
    return elapsed, usage.ru_maxrss * 1024 / 1e6


@click.command(help=__doc__)
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.argument("photo", type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=31, show_default=True)
def main(model: Path, photo: Path, rounds: int) -> None:
    """Run both in turn, and print medians and their ratios."""
    program = str(Path(sys.executable).parent / "edge-classify")
    commands = {
        "script": [sys.executable, "-c", SCRIPT, str(model), str(photo)],
        "edge-classify": [program, "--model", str(model), str(photo)],
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            taken[name].append(cost(command))
    pairs = list(
        zip(taken["script"][1:], taken["edge-classify"][1:], strict=True)
    )  # The first read the disk.
    for name, values in taken.items():
        elapsed, memory = (statistics.median(column) for column in zip(*values[1:], strict=True))
        click.echo(f"{name}: {elapsed * 1000:.0f} ms, {memory:.1f} MB")
    for what, column in (("time", 0), ("peak memory", 1)):
        ratio = statistics.median(ours[column] / script[column] for script, ours in pairs)
        click.echo(f"{what}: {ratio:.2f} times the script's (median of {rounds})")


if __name__ == "__main__":
    main()
