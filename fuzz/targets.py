"""All targets, by name."""

from __future__ import annotations

from . import models, own_files, pictures, texts

TARGETS = {
    target.name: target for target in (*models.TARGETS, *own_files.TARGETS, *pictures.TARGETS, *texts.TARGETS)
}
