"""The error of one peer; the others are measured nevertheless."""

from __future__ import annotations

from edge_classify.edge.errors import BenchmarkError


class PeerError(BenchmarkError):
    """A peer, its environment or its model file is not available; the table's notes show the text."""
