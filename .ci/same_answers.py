"""For .ci/arm: makes the pictures to classify, and compares what two machines answered.

python same_answers.py --pictures FOLDER
python same_answers.py FIRST.jsonl SECOND.jsonl     exit status 1 where they differ
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
from edge_classify.edge.appended import read_entry
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.modelfile import ModelFile
from PIL import Image


def make_pictures(folder: Path) -> None:
    """Write golden.png, an image that the default model carries, and photo.jpg, the same but large."""
    card = ModelFile.read(DEFAULT_MODEL).card
    assert card is not None
    raw = read_entry(DEFAULT_MODEL, card.golden[0].image)
    (folder / "golden.png").write_bytes(raw)
    with Image.open(io.BytesIO(raw)) as image:
        image.resize((1600, 1200), Image.Resampling.BICUBIC).save(folder / "photo.jpg", quality=90)


def compare(first: Path, second: Path) -> bool:
    """Return whether labels are the same, and probabilities within the tolerance of the golden examples."""
    card = ModelFile.read(DEFAULT_MODEL).card
    assert card is not None
    tolerance = max(example.tolerance for example in card.golden)
    pairs = list(zip(_answers(first), _answers(second), strict=True))
    for (name, label, score), (_, other_label, other_score) in pairs:
        click.echo(
            f"{name}: {label} {score:.4f} here, {other_label} {other_score:.4f} there; allowed {tolerance:g}"
        )
    return all(a[:2] == b[:2] and abs(a[2] - b[2]) <= tolerance for a, b in pairs)


def _answers(path: Path) -> list[tuple[str, str, float]]:
    records: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    best = [(record["source"], record["predictions"][0]) for record in records]
    return [(Path(source).name, score["label"], score["score"]) for source, score in best]


if __name__ == "__main__":
    if sys.argv[1] == "--pictures":
        make_pictures(Path(sys.argv[2]))
    elif not compare(Path(sys.argv[1]), Path(sys.argv[2])):
        sys.exit("the answers differ")
