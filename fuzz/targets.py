"""All targets, by name."""

from __future__ import annotations

from . import models, pictures, signatures, texts

TARGETS = {
    target.name: target
    for target in (*models.TARGETS, *pictures.TARGETS, *signatures.TARGETS, *texts.TARGETS)
}
