"""Warnings of several results, told once."""

from __future__ import annotations

from collections.abc import Iterable

from .sections import Caveat


def worst_of_each_kind(caveats: Iterable[Caveat]) -> dict[str, Caveat]:
    """Return of each kind the caveat with the highest value.

    Models take turns, so what disturbed one disturbed the others: one sentence is enough for all.
    """
    worst: dict[str, Caveat] = {}
    for caveat in caveats:
        if caveat.kind not in worst or (caveat.value or 0.0) > (worst[caveat.kind].value or 0.0):
            worst[caveat.kind] = caveat
    return worst
