"""The runner: everything that the device needs, and nothing that only training needs.

    from edge_classify.edge import Classifier
    print(Classifier.from_file("model.tflite").classify("photo.jpg").best)

Importing this package loads nothing else: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # Importing typing takes longer than all else here, before Ctrl-C is caught.
if TYPE_CHECKING:
    from typing import Any

    from .answers.rules import AnswerRules, Answers
    from .card import ModelCard
    from .classifier import Classifier, Doubt, Prediction, Score
    from .errors import EdgeClassifyError, ImageError, ModelFileError, SourceError
    from .proof import SelfCheck, self_check
    from .runtime import Execution
    from .sources.camera import CameraOptions
    from .sources.files import FileSource
    from .sources.frames import Frame, Picture, Source
    from .sources.opening import open_source

_HOMES = {
    "AnswerRules": "answers.rules", "Answers": "answers.rules",
    "CameraOptions": "sources.camera", "FileSource": "sources.files", "Frame": "sources.frames",
    "Picture": "sources.frames", "Source": "sources.frames", "open_source": "sources.opening",
    "Classifier": "classifier", "Doubt": "classifier", "Prediction": "classifier", "Score": "classifier",
    "EdgeClassifyError": "errors", "ImageError": "errors", "ModelFileError": "errors",
    "SourceError": "errors",
    "Execution": "runtime", "ModelCard": "card", "SelfCheck": "proof", "self_check": "proof",
}  # fmt: skip

__all__ = [
    "AnswerRules",
    "Answers",
    "CameraOptions",
    "Classifier",
    "Doubt",
    "EdgeClassifyError",
    "Execution",
    "FileSource",
    "Frame",
    "ImageError",
    "ModelCard",
    "ModelFileError",
    "Picture",
    "Prediction",
    "Score",
    "SelfCheck",
    "Source",
    "SourceError",
    "open_source",
    "self_check",
]


def __getattr__(name: str) -> Any:
    """Load an exported name when it is first used (PEP 562); raises AttributeError for another name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
