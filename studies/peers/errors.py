"""What can go wrong with one peer, which is no reason to lose the others."""

from __future__ import annotations

from edge_classify.edge.errors import BenchmarkError


class PeerError(BenchmarkError):
    """A peer, its environment or its model file cannot be had here; the text goes into the table's notes."""
