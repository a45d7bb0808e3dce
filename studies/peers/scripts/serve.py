"""Serves one peer to run.py: JSON lines on stdin and stdout.

    python serve.py SCRIPT '{"model": "model.onnx", "threads": 1, "size": [224, 224]}' [PHOTO]

SCRIPT is a module of this folder that shows how a user runs a model with one runtime. It holds PACKAGE, whose
version is reported, and `open_model`, which takes the keys of the JSON object. The returned object must have
`run`, and may have `prepare`, `read`, `remark` and `time_block` in place of those below.

The first line out is {"load_ms", "first_ms", "version", "remark"}. Each line in is a request, one of
`_REQUESTS`. With PHOTO the script only classifies that photo, prints {"answer", "peak_mb"} and ends: a cold
start. A failure is printed as {"error"}, with exit status 1. The script runs in the peer's environment, and
imports nothing of this project.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO


class Peer:
    """A script's model, with the functions that the script does not have."""

    def __init__(self, script: str, settings: dict[str, Any]) -> None:
        """Import the script, and open the model, which takes `load_ms`."""
        module = importlib.import_module(script)
        began = time.perf_counter()
        self.model = module.open_model(**settings)
        self.load_ms = _since(began)
        self.package: str = module.PACKAGE
        self.width, self.height = settings["size"]

    def prepare(self, pixels: Any) -> Any:
        """Return uint8 pixels [height, width, 3] as the model's input: float32 with a batch of 1, 0..255."""
        if hasattr(self.model, "prepare"):
            return self.model.prepare(pixels)
        import numpy as np

        return np.asarray(pixels, np.float32)[None]

    def read(self, photo: str) -> Any:
        """Return a photo as uint8 pixels [height, width, 3], RGB: decoded and resized by Pillow."""
        if hasattr(self.model, "read"):
            return self.model.read(photo)
        import numpy as np
        from PIL import Image

        with Image.open(photo) as image:
            size = self.width, self.height
            return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))

    def answer(self, pixels: Any) -> list[float]:
        """Return the index of the highest class, and its probability."""
        probabilities = self.model.run(self.prepare(pixels))
        best = int(probabilities.argmax())
        return [best, float(probabilities[best])]

    def noise(self) -> Any:
        """Return an input of random pixels: the speed does not depend on the picture."""
        import numpy as np

        pixels = np.random.default_rng(0).integers(0, 256, (self.height, self.width, 3), np.uint8)
        return self.prepare(pixels)

    def facts(self) -> dict[str, Any]:
        """Return the object of the first line; without a first inference where a runtime times itself."""
        first_ms = None
        if not hasattr(self.model, "time_block"):
            tensor, began = self.noise(), time.perf_counter()
            self.model.run(tensor)
            first_ms = _since(began)
        return {
            "load_ms": self.load_ms,
            "first_ms": first_ms,
            "version": f"{self.package} {importlib.metadata.version(self.package)}",
            "remark": getattr(self.model, "remark", ""),
        }

    def block(self, runs: int) -> dict[str, Any]:
        """Return the ms of single inferences: from the input in memory to probabilities in memory."""
        if hasattr(self.model, "time_block"):
            return {"ms": self.model.time_block(runs)}
        tensor, taken = self.noise(), []
        for _ in range(runs):
            began = time.perf_counter()
            self.model.run(tensor)
            taken.append(_since(began))
        return {"ms": taken}

    def photos(self, paths: list[str]) -> dict[str, Any]:
        """Return the ms of each photo, from file to the highest class."""
        taken = []
        for path in paths:
            began = time.perf_counter()
            self.answer(self.read(path))
            taken.append(_since(began))
        return {"ms": taken}

    def answers(self, pixels: str) -> dict[str, Any]:
        """Return the answer to each picture of a .npy file, uint8 [pictures, height, width, 3]."""
        import numpy as np

        return {"answers": [self.answer(np.asarray(rows)) for rows in np.load(pixels, mmap_mode="r")]}


_REQUESTS = ("block", "photos", "answers")


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _peak_mb() -> float | None:
    """Return this process's peak resident memory in MB; getrusage would include the parent's."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e6 if found else None


def _answer_requests(peer: Peer, out: TextIO) -> None:
    print(json.dumps(peer.facts()), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        if name not in _REQUESTS:
            raise ValueError(f"a request is one of {', '.join(_REQUESTS)}. Received: {name}")
        print(json.dumps(getattr(peer, name)(**request)), file=out, flush=True)


def main() -> None:
    """Serve the script of the command line until stdin ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Runtimes print to stdout, also from C++.
    try:
        peer = Peer(sys.argv[1], json.loads(sys.argv[2]))
        if len(sys.argv) > 3:
            answer = peer.answer(peer.read(sys.argv[3]))
            print(json.dumps({"answer": answer, "peak_mb": _peak_mb()}), file=out, flush=True)
        else:
            _answer_requests(peer, out)
    except Exception as error:  # The other peers are measured, whatever this runtime raises.
        text = " ".join(str(error).split()) or type(error).__name__
        print(json.dumps({"error": text[:500]}), file=out, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
