"""A picture of what lies in a model file: the default model's, byte by byte.

Run: python -m manual.pictures.card
"""

from __future__ import annotations

from edge_classify.edge.appended import read_directory
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.tflite.model import EditableModel

from .paper import BLUE, GREEN, GREY, INK, ORANGE, PALE, new_figure, save

_SAYS = {
    "labels.txt": "the names of the classes",
    "card.json": "the card",
    "golden_0.png": "golden example: a drawn pattern",
    "golden_1.png": "golden example: a drawn pattern",
}


def draw_file() -> None:
    """Show the parts of the default model, from the first byte to the last, with their sizes."""
    directory = read_directory(DEFAULT_MODEL)
    data = DEFAULT_MODEL.read_bytes()
    model = EditableModel(data[: directory.start])
    weights = sum(tensor.constant_bytes for tensor in model.graph.tensors)
    parts = [
        ("weights", weights, "numbers of 8 bits, biases of 32", BLUE),
        ("graph", directory.start - weights, "layers, scales, TFLite metadata", GREEN),
        *((file.name, file.size, _SAYS[file.name], ORANGE) for file in directory.files),
        (
            "directory",
            len(data) - directory.start - sum(file.size for file in directory.files),
            "of the zip",
            GREY,
        ),
    ]
    figure, axes = new_figure(4.4)
    axes.set_xlim(0, 10)
    axes.set_ylim(len(parts) + 0.1, -1.2)
    axes.axis("off")
    for row, (name, size, says, color) in enumerate(parts):
        axes.barh(row + 0.5, 0.5, left=0, height=0.92, color=color)
        axes.text(0.75, row + 0.32, name, va="center", weight="bold")
        axes.text(0.75, row + 0.7, says, va="center", color=INK)
        axes.text(10, row + 0.5, f"{size:,} bytes", va="center", ha="right", color=INK)
        axes.axhline(row + 1, color=PALE, linewidth=0.8)
    axes.axhline(2, color=INK, linewidth=1.2)
    axes.text(0, -0.35, f"{DEFAULT_MODEL.name}: a flatbuffer, then a zip", size=12)
    save(figure, "card-inside")


if __name__ == "__main__":
    draw_file()
