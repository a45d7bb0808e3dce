"""Pictures of parts of the reports, by headless Chromium, and of what --doctor draws.

Run: python -m manual.pictures.report_parts WORKSPACE (an example workspace; it is copied, and stays as it is)
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from manual.run import copy_workspace
from tests.support.browser_page import BrowserPage, browsing

from .paper import PICTURES
from .photos import command, keep

_WIDTH = 760
# A page has its heights when its pictures are there. A part goes from a heading to the next of its level.
_DECODED = """
(async () => {
  for (const details of document.querySelectorAll('details')) details.open = true;
  for (const picture of document.images) picture.loading = 'eager';
  await Promise.all([...document.images].map(picture => picture.decode().catch(() => null)));
})()
"""
_ONLY = """
(() => {
  const all = [...document.querySelectorAll('h1, h2, h3')];
  const start = all.find(found => found.textContent.includes(TEXT));
  const parts = [start];
  for (let next = start.nextElementSibling; next; next = next.nextElementSibling) {
    if (/^H[1-6]$/.test(next.tagName) && next.tagName <= start.tagName) break;
    parts.push(next);
  }
  const boxes = parts.slice(0, MOST).map(part => part.getBoundingClientRect()).filter(box => box.height);
  const top = Math.min(...boxes.map(box => box.top)) + scrollY;
  const bottom = Math.max(...boxes.map(box => box.bottom)) + scrollY;
  return [top, bottom - top];
})()
"""


def photograph(page: BrowserPage, report: Path, heading: str, name: str, most: int = 99) -> None:
    """Keep a part of a report as a picture: from a heading on, of at most so many elements."""
    page.set_screen(_WIDTH, 900)
    page.open(report)
    page.evaluate(_DECODED, wait=True)
    # On a screen as high as the page nothing moves when a part below the first screen is taken.
    page.set_screen(_WIDTH, page.evaluate("document.documentElement.scrollHeight"))
    script = _ONLY.replace("TEXT", repr(heading)).replace("MOST", str(most))
    top, height = page.evaluate(script)
    data = page.picture(0, max(0, top - 12), _WIDTH, height + 24)
    keep(Image.open(io.BytesIO(data)), name)


def make_runs(folder: Path) -> None:
    """Make the reports that the pages speak of: a small class, an audit that finds something, a benchmark."""
    few = folder / "few"
    shutil.copytree(folder / "photos", few)
    for path in sorted((few / "spoon").glob("*.jpg"))[16:]:
        path.unlink()
    quick = ("--model", "cnn", "--preset", "fast", "--image-size", "48", "--folds", "0")
    command(folder, "edge-train", "few", *quick, "--output", "few-run")
    command(folder, "edge-train", "photos", *quick, "--answer-precision", "0.8", "--output", "sure")
    messy = folder / "messy"
    shutil.copytree(folder / "photos", messy)
    shutil.copy(messy / "mug" / "004.jpg", messy / "plate" / "found.jpg")
    with Image.open(messy / "spoon" / "020.jpg") as picture:
        picture.resize((80, 80)).save(messy / "spoon" / "small.jpg")
    with Image.open(messy / "mug" / "010.jpg") as picture:
        picture.crop((4, 4, 92, 92)).save(messy / "mug" / "part.jpg", quality=95)
    command(folder, "edge-train", "messy", "--audit-only", "--output", "audit")
    models = sorted(str(path.relative_to(folder)) for path in (folder / "models").glob("*.tflite"))
    command(folder, "edge-benchmark", *models, "--data", "run", "--report", "benchmark.html")


def draw_doctor(folder: Path) -> None:
    """Keep the plot of a model that collapses in 8 bits."""
    study = PICTURES.parents[1] / "studies" / "collapse.py"
    command(folder, sys.executable, str(study), "run", "bad", "--model", "cnn", "--factor", "1000")
    command(folder, "edge-convert", "--doctor", "bad/cnn", "--output", "doctor")
    with Image.open(folder / "doctor" / "cnn_doctor.png") as plot:
        plot.thumbnail((900, 900))
        keep(plot, "int8-collapse-doctor")


def main(workspace: Path) -> None:
    """Make all of them."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or sys.exit("chromium is needed")
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_workspace(workspace, Path(scratch) / "example")
        draw_doctor(folder)
        make_runs(folder)
        profile = Path(scratch) / "profile"
        profile.mkdir()
        with browsing(chromium, profile) as page:
            photograph(page, folder / "few-run" / "report.html", "By class", "small-classes-report")
            photograph(page, folder / "audit" / "report.html", "The data set", "audit-report")
            photograph(page, folder / "sure" / "report.html", "Confidence", "unknown-report")
            photograph(page, folder / "benchmark.html", "Accuracy", "several-devices-report")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
