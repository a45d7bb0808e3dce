"""The code that the manual shows for MediaPipe and for a browser runs as it stands, and answers as we do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.appended import read_entry
from edge_classify.edge.classifier import Classifier, Prediction
from edge_classify.edge.default_model import DEFAULT_MODEL

from .chromium import files_in, posted_by_page
from .environments import HERE, ROOT

pytestmark = pytest.mark.clients

PAGE = ROOT / "docs" / "start" / "browser-and-phone.md"
POST = """
const photo = await (await fetch('/photo.png')).blob();
await fetch('/answer', {method: 'POST', body: JSON.stringify(await classify(photo))});
"""


def code_of(language: str) -> str:
    """Return the only block of that language on the page."""
    (block,) = re.findall(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return str(block)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a picture of the input's size, beside the model that the page's code names."""
    (tmp_path / "models").mkdir()
    shutil.copy(DEFAULT_MODEL, tmp_path / "models" / "cnn_int8.tflite")
    (tmp_path / "photo.jpg").write_bytes(read_entry(DEFAULT_MODEL, "golden_0.png"))
    return tmp_path / "photo.jpg"


def ours(photo: Path) -> Prediction:
    return Classifier.from_file(DEFAULT_MODEL).classify(photo)


def test_python_code_prints_our_answers(mediapipe_python: Path, photo: Path) -> None:
    done = subprocess.run(
        [mediapipe_python, "-c", code_of("python")],
        cwd=photo.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    label, score = done.stdout.splitlines()[0].rsplit(" ", 1)
    assert label == ours(photo).best.label
    assert float(score) == pytest.approx(ours(photo).best.score, abs=0.02)


def test_browser_code_gives_our_scores(browser: Path, packages: Path, photo: Path, tmp_path: Path) -> None:
    page = (HERE / "browser" / "page.html").read_text().replace("/classify.js", "/code.js")
    assert "/code.js" in page

    def pages(name: str) -> bytes | None:
        if name.startswith("node_modules/"):
            return files_in(packages)(name.removeprefix("node_modules/"))
        made = {
            "page.html": page.encode(), "code.js": (code_of("js") + POST).encode(),
            "cnn_int8.tflite": DEFAULT_MODEL.read_bytes(), "photo.png": photo.read_bytes(),
        }  # fmt: skip
        return made.get(name)

    profile = tmp_path / "profile"
    profile.mkdir()
    scores = np.array(posted_by_page(browser, pages, profile, timeout=120))
    assert np.abs(scores / 256 - ours(photo).probabilities).max() <= 0.02
