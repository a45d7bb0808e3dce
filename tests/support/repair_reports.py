"""Made-up reports of what 8 bits harm and what repairs it."""

from __future__ import annotations

import numpy as np
from edge_classify.benchmarks.scoring.loss import Loss
from edge_classify.convert.repair.report import Attempt, RepairReport
from edge_classify.convert.repair.sensitivity import LayerError


def make_report(layers: int = 20, guilty: int = 2, name: str = "layer") -> RepairReport:
    """Return the report of a model of which the first layers are guilty; these in float repair it."""
    errors = [
        LayerError(
            index=index, name=f"{name} {index}", operation="CONV_2D", tensor=f"{name}/{index}",
            divergence=2.0 if index < guilty else 1e-4, changed=0.5, side="output",
            minimum=-3.0, maximum=900.0, uneven=120.0, levels=3.0, seen="uneven",
        )
        for index in range(layers)
    ]  # fmt: skip
    as_it_is = Attempt("int8", "as it is", Loss(200, 0, 500), False, b"12345", latency_ratio=1.0)
    kept = tuple(range(guilty))
    names = tuple(f"{name} {index}" for index in kept)
    fixed = Attempt(
        "selective", f"{guilty} layers in float", Loss(2, 0, 500), True, b"1234567", names, kept, 1.04
    )
    channels = tuple(float(value) for value in (*np.linspace(3, 7, 29), 900.0))
    return RepairReport(name, 0.01, 500, True, 0.9, tuple(errors), channels, (as_it_is, fixed), fixed)
