"""Usage: python -m fuzz.one TARGET CORPUS [FLAGS OF LIBFUZZER]

Fuzzes one target in this process, for run.py. Every branch of this project's own code is counted.
"""

from __future__ import annotations

import resource
import sys
import warnings

import atheris

with atheris.instrument_imports(include=["edge_classify", "flatbuffers", "dacite", "zipfile"]):
    from .targets import TARGETS

MEMORY_MB = 2048


def main() -> None:
    """Run until a finding, or until libFuzzer's limits."""
    warnings.filterwarnings("ignore", module="PIL")  # As the commands do.
    name, *arguments = sys.argv[1:]
    target = TARGETS[name]
    # libFuzzer compares the highest use of memory so far, in which Linux counts that of the program that
    # started this one (man 2 getrusage, ru_maxrss is kept across execve).
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    arguments.append(f"-rss_limit_mb={before_mb + MEMORY_MB}")
    atheris.Setup([sys.argv[0], *arguments], target.try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
