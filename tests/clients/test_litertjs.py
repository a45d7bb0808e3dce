"""LiteRT.js runs the files in a browser, and answers as edge-classify does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.convert.recipes import find_recipe

from .chromium import files_in, posted_by_page
from .conftest import Pictures, expect
from .environments import HERE

pytestmark = [pytest.mark.clients, pytest.mark.usefixtures("browser", "packages")]


@pytest.fixture(scope="module")
def answers(
    browser: Path,
    packages: Path,
    models: list[Path],
    sized: Pictures,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Return the scores [picture][label], as the file gives them, by the model's file name."""
    chosen = {path.name: path for path in models if path.stem.endswith(("_float32", "_int8"))}
    work = {"models": list(chosen), "pictures": len(sized.pixels)}

    def pages(name: str) -> bytes | None:
        folder, _, rest = name.partition("/")
        if folder == "node_modules":
            return files_in(packages)(rest)
        if folder == "models":
            return chosen[rest].read_bytes()
        made = {"work.json": json.dumps(work).encode(), "pixels": sized.pixels.tobytes()}
        return made.get(name) or files_in(HERE / "browser")(name)

    posted = posted_by_page(browser, pages, tmp_path_factory.mktemp("profile"), timeout=120)
    assert "results" in posted, posted
    return posted["results"]


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_browser_gives_the_same_best_label_on_every_picture(
    models: list[Path], answers: Any, sized: Pictures, variant: str, record_property: Any
) -> None:
    chosen = [path for path in models if path.stem.endswith(f"_{variant}")]
    assert len(chosen) == 2
    for model in chosen:
        ours = expect(model, sized)
        scores = np.array(answers[model.name])
        scale = 256 if variant == "int8" else 1
        assert np.abs(scores / scale - ours.probabilities).max() <= find_recipe(variant).tolerance
        agreement = ours.agreement([ours.labels[index] for index in scores.argmax(axis=1)])
        record_property(f"LiteRT.js agrees, {model.name}", f"{agreement:.0%}")
        assert agreement == 1, model.name
