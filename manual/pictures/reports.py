"""Pictures of both reports, of a real training and a real benchmark on handwritten digits.

Run: python -m manual.pictures.reports FOLDER
FOLDER keeps what was trained, converted and measured; what it has already is not made again.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.support.browser_page import BrowserPage, browsing

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
_WIDTH, _COLOURS, _MOST_BYTES = 840, 64, 120_000
_TRAIN = (
    "edge-train", "digits", "--image-size", "cnn=32,mobilenet_v2=64", "--alpha", "0.35", "--weights", "none",
    "--epochs", "6,6", "--output", "run", "--force",
)  # fmt: skip
_CONVERT = ("edge-convert", "run", "--output", "models", "--force")
_BENCHMARK = ("sh", "-c", "edge-benchmark models/*.tflite --data run --report benchmark.html")
# The report, the element before which the picture ends, and that with which it begins; None: the page's top.
_TAKEN = {
    "report": (Path("run/report.html"), "h3", None),
    "benchmark": (Path("benchmark.html"), "#figures", "#scatter"),
}


def make_reports(folder: Path) -> None:
    """Train, convert and measure in `folder`, where that was not done before."""
    folder.mkdir(parents=True, exist_ok=True)
    programs = Path(sys.executable).parent
    path = os.pathsep.join((str(programs), os.environ["PATH"]))
    for command, made in ((_TRAIN, "run/report.html"), (_CONVERT, "models"), (_BENCHMARK, "benchmark.html")):
        if not (folder / made).exists():
            subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, check=True)


def take(page: BrowserPage, path: Path, end: str, begin: str | None) -> bytes:
    """Return a part of a page as a PNG with few colours; raises ValueError where it gets too large."""
    page.open(path)
    top, bottom = (0 if place is None else _top_of(page, place) - 12 for place in (begin, end))
    picture = Image.open(io.BytesIO(page.picture(0, top, _WIDTH, bottom - top))).convert("RGB")
    small, written = picture.quantize(_COLOURS, dither=Image.Dither.NONE), io.BytesIO()
    small.save(written, "PNG", optimize=True)
    if written.tell() > _MOST_BYTES:
        raise ValueError(f"the picture of {path} takes {written.tell():,} bytes, more than {_MOST_BYTES:,}")
    return written.getvalue()


def _top_of(page: BrowserPage, place: str) -> float:
    return float(page.evaluate(f"document.querySelector('{place}').getBoundingClientRect().top + scrollY"))


def main(folder: Path) -> None:
    """Write docs/pictures/report.png and benchmark.png."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    make_reports(folder)
    with tempfile.TemporaryDirectory() as profile, browsing(browser, Path(profile)) as page:
        page.set_screen(_WIDTH)
        for name, (path, end, begin) in _TAKEN.items():
            (PICTURES / f"{name}.png").write_bytes(take(page, folder / path, end, begin))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name a folder for what is trained and measured: python -m manual.pictures.reports FOLDER")
    main(Path(sys.argv[1]))
