"""All targets, by name."""

from __future__ import annotations

from . import models, own_files, pictures, signatures, texts

_FILES = (models, own_files, pictures, signatures, texts)
TARGETS = {target.name: target for file in _FILES for target in file.TARGETS}
