"""The machine that a figure was measured on, without names of hosts or users."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..edge.board import board_name
from ..edge.cores import cores
from ..edge.processes import plain_environment, run

_CPUINFO = Path("/proc/cpuinfo")
_UNAME_SECONDS = 5.0


@dataclass(frozen=True)
class Host:
    """A machine; memory in MB (10^6 bytes), None where unknown. `cores` are those that this process may use.

    `fingerprint` is a hash of board, processor, architecture, cores, and memory in whole GB: where these are
    equal, benchmarks may be compared. Updates of the system and of Python do not change it.
    """

    board: str | None
    processor: str | None
    architecture: str
    cores: int
    memory_mb: int | None
    system: str
    python: str
    fingerprint: str

    @property
    def name(self) -> str:
        """The name that people use: the board, else the processor."""
        return self.board or self.processor or self.architecture


def describe_host() -> Host:
    """Describe this machine."""
    board, processor = board_name(Path("/")) or None, _processor()
    architecture, memory = platform.machine(), _memory_mb()
    kind = [board, processor, architecture, cores(), memory and round(memory / 1000)]
    return Host(
        board=board,
        processor=processor,
        architecture=architecture,
        cores=cores(),
        memory_mb=memory,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        fingerprint=hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:12],
    )


def _processor() -> str | None:
    for key in ("model name", "Model", "Hardware"):  # x86, and the names that ARM kernels use.
        if match := re.search(rf"^{key}\s*:\s*(.+)$", _read(_CPUINFO), re.MULTILINE):
            return match[1].strip()
    # As platform.processor() does, but only with the system's own uname.
    with suppress(OSError):
        name = (
            run(["uname", "-p"], _UNAME_SECONDS, plain_environment()).output.decode(errors="replace").strip()
        )
        return None if name == "unknown" else name or None
    return None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000
    except (AttributeError, ValueError, OSError):
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
