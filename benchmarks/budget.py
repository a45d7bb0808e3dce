"""Limits for the file to ship: size, memory, latency and accuracy lost."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The units of each limit: sizes in bytes, memory in MB, times in ms, drop in points.
_MEMORY = {"MB": 1.0, "GB": 1e3, "MiB": 1024.0**2 / 1e6, "GiB": 1024.0**3 / 1e6}
_UNITS = {
    "size": {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1024.0, "MiB": 1024.0**2},
    "ram": _MEMORY,
    "memory": _MEMORY,
    "median": {"ms": 1.0, "us": 1e-3, "s": 1e3},
    "p99": {"ms": 1.0, "us": 1e-3, "s": 1e3},
    "drop": {"": 1.0, "points": 1.0},
}


@dataclass(frozen=True)
class Budget:
    """Upper limits of a file: bytes, MB of memory, ms, and points of top-1 lost; None: no limit."""

    size: float | None = None
    memory: float | None = None
    median: float | None = None
    p99: float | None = None
    drop: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "size=4MB,p99=20ms,drop=1"; raises ValueError with the valid names or units."""
        limits: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = part.strip().partition("=")
            units = _UNITS.get(name)
            if units is None:
                raise ValueError(f"must be limits of {', '.join(_UNITS)}. Received: {name!r} in {text!r}")
            match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", value.strip())
            if match is None or match[2] not in units:
                example = (
                    f"{name}={'4' if name != 'drop' else '1'}{next(iter(units)) if name != 'size' else 'MB'}"
                )
                valid = ", ".join(unit for unit in units if unit) or "none"
                raise ValueError(
                    f"{name} must be a number with a unit ({valid}), such as {example}. Received: {value!r}"
                )
            name = "memory" if name == "ram" else name
            if name in limits:
                raise ValueError(f"must give {name} once. Received: {text!r}")
            limits[name] = float(match[1]) * units[match[2]]
        return cls(**limits)
