"""Each fuzzing target takes its seeds, and takes or refuses damaged ones as documented; findings are said."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest
from edge_classify.edge import image_file

from fuzz.run import fuzz, write_seeds
from fuzz.target import Target
from fuzz.targets import TARGETS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # As the commands have it.
ROOT = Path(__file__).parent.parent
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not there for every Python and processor"
)


def damaged(data: bytes, seed: int) -> bytes:
    """Return data with some bytes changed, and a part cut off or doubled."""
    chance = random.Random(seed)
    raw = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if raw:
            raw[chance.randrange(len(raw))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    start = chance.randrange(len(raw) + 1)
    if chance.random() < 0.3:
        return bytes(raw[:start])
    return bytes(raw[:start] + raw[start:] * chance.randint(1, 2))


@pytest.mark.parametrize("name", TARGETS)
def test_target_takes_a_seed_and_takes_or_refuses_damaged_ones(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    assert any(target.try_one(seed) for seed in seeds), "no seed is taken: it leads nowhere"
    assert all(len(seed) <= target.longest for seed in seeds)
    for number in range(60):
        target.try_one(damaged(seeds[number % len(seeds)], number))
    assert image_file.MAX_PIXELS == 128_000_000, "the limit of this target stays for whatever runs next"


def test_names_of_targets_differ_and_corpora_are_a_few_kilobytes(tmp_path: Path) -> None:
    for name, target in TARGETS.items():
        assert target.name == name
        write_seeds(target, tmp_path / name)
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) < 100_000


@needs_atheris
def test_fuzzing_reaches_branches_and_counts_them(tmp_path: Path) -> None:
    outcome = fuzz(TARGETS["listing"], 2, tmp_path / "listing")
    assert outcome.finding is None, outcome.describe()
    assert outcome.executions > 100 and outcome.edges > 10


@needs_atheris
def test_error_that_a_reader_does_not_document_is_a_finding_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reader that documents nothing of what it raises, put in place of a target in the child's code.
    planted = tmp_path / "sitecustomize.py"
    planted.write_text(
        "import fuzz.target as t\n"
        "real = t.Target.try_one\n"
        "def try_one(self, data):\n"
        "    if data.startswith(b'I'): raise KeyError('planted')\n"
        "    return real(self, data)\n"
        "t.Target.try_one = try_one\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}:{ROOT / 'tests' / '.ns'}")
    seeds = Target("listing", TARGETS["listing"].read, (), lambda: [b"IC"])
    outcome = fuzz(seeds, 60, tmp_path / "corpus" / "listing")
    assert outcome.finding is not None and "planted" in outcome.finding
    assert outcome.file is not None and outcome.file.read_bytes().startswith(b"I")


def test_runner_says_in_words_where_atheris_cannot_be_had(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\nreal = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'atheris' else real(name, *rest)\n"
        "sys.argv = ['fuzz']\nfrom fuzz.run import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Nothing is fuzzed: atheris is not installed")
    assert not (tmp_path / "build").exists()
