"""All targets, by name."""

from __future__ import annotations

from . import models, pictures, texts

TARGETS = {target.name: target for target in (*models.TARGETS, *pictures.TARGETS, *texts.TARGETS)}
