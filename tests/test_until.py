"""The tests' own --until: a run ends in its time, says what it skipped, and draws anew what that is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("test_one.py", "test_other.py")
CONTENT = (
    "import pytest\n\n\n@pytest.mark.parametrize('number', range(9))\ndef test_nothing(number):\n    pass\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of nine tests under this project's own conftest.py."""
    for name in FILES:
        (tmp_path / name).write_text(CONTENT)
    return tmp_path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    pytest_here = [sys.executable, "-m", "pytest", "-p", "tests.conftest"]
    return subprocess.run(
        [*pytest_here, "-q", "-ra", "--rootdir", folder, folder, *options],
        cwd=HERE.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_what_would_start_later_is_skipped_and_named_and_the_rest_runs(folder: Path) -> None:
    late = run(folder, "--until", "1")
    assert late.returncode == 0, late.stdout
    assert "18 skipped" in late.stdout and "the time of this run is over" in late.stdout
    assert "18 passed" in run(folder, "--until", "99999999999").stdout
    assert "18 passed" in run(folder).stdout


def test_order_is_drawn_by_the_time_and_keeps_files_together(folder: Path) -> None:
    def order(*options: str) -> list[str]:
        return [line for line in run(folder, "--collect-only", *options).stdout.splitlines() if "::" in line]

    plain, one, again, other = order(), order("--until", "1"), order("--until", "1"), order("--until", "2")
    assert len(plain) == 18
    assert one == again  # Each process draws by itself, and all must draw the same.
    assert len({tuple(plain), tuple(one), tuple(other)}) == 3
    for drawn in (one, other):
        assert sorted(drawn) == sorted(plain)
        files = [line.partition("::")[0] for line in drawn]
        assert files in ([files[0]] * 9 + [files[-1]] * 9,) and files[0] != files[-1]
