"""Readers of the files that this program writes itself, and that may have been changed since."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.convert.output import read_summary
from edge_classify.edge.errors import DatasetError, OptionError, OutputExistsError
from edge_classify.edge.inner_files import UnsafePathError, inner_path
from edge_classify.edge.json_files import DEEPEST, JsonError, parse_json
from edge_classify.train.output import UNFINISHED
from edge_classify.train.request import TrainingRequest

from tests.support.train_options import make_options

from .target import Target

_REQUEST, _SUMMARY, _SPLIT = "request.json", "conversion.json", "split.json"


def _json(data: bytes) -> None:
    value = parse_json(data)
    assert _depth(value) <= DEEPEST, "deeper than allowed"
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    assert parse_json(text.encode()) == value, "a value that is written and read again differs"


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, (dict, list)) else 0


def _split(data: bytes) -> None:
    run = _folder()
    (run / _SPLIT).write_bytes(data)
    split = Split.read(run)
    for image in split.images:
        assert not PurePosixPath(image.path).is_absolute() and ".." not in PurePosixPath(image.path).parts
    _ = split.counts(), split.sha256


def _request(data: bytes) -> None:
    run = _folder()
    (run / UNFINISHED / _REQUEST).write_bytes(data)
    request = TrainingRequest.read(run)
    assert all("/" not in name for name in request.finished), "a name that is a path"


def _conversion(data: bytes) -> None:
    run = _folder()
    (run / _SUMMARY).write_bytes(data)
    read_summary(run)


def _inner(data: bytes) -> None:
    root = _folder()
    path = inner_path(root, data.decode("utf-8", "surrogateescape"))
    assert path.resolve().is_relative_to(root.resolve()), "a path that leads out"


@cache
def _folder() -> Path:
    """Return a run with a link that leads out of it."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    (root / UNFINISHED).mkdir()
    (root / "a").mkdir()
    (root / "a" / "out").symlink_to("/")
    return root


def _json_seeds() -> Iterator[bytes]:
    yield b'{"a": [1, -2.5e3, true, null, "\\u00e9\\n"], "b": {"c": []}}'
    yield b"\xef\xbb\xbf[[[[1]]]]"
    yield b'"' + "ü€😀".encode() + b'"'


def _split_seeds() -> Iterator[bytes]:
    images = tuple(SplitImage(f"cat/{n}.jpg", f"{n:064x}", "cat", "train") for n in range(2))
    with tempfile.TemporaryDirectory() as folder:
        Split("photos", ("cat", "dog"), images).write(Path(folder))
        yield (Path(folder) / _SPLIT).read_bytes()


def _request_seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        options, versions = make_options(), {"numpy": "2.0"}
        TrainingRequest("photos", options, "edge-train photos", "/home/me", versions).write(work)
        yield (work / _REQUEST).read_bytes()


def _conversion_seeds() -> Iterator[bytes]:
    yield b'{"source": "run", "files": [{"file": "m.tflite"}], "doctor": {"m": {"loss": NaN}}}'


def _inner_seeds() -> Iterator[bytes]:
    yield b"a/b.jpg"
    yield b"a/out/etc/passwd"
    yield b"../x"
    yield b"/etc/passwd"


TARGETS = (
    Target("json", _json, (JsonError,), _json_seeds, 2048),
    Target("split", _split, (DatasetError,), _split_seeds),
    Target("request", _request, (OptionError,), _request_seeds),
    Target("conversion", _conversion, (OutputExistsError,), _conversion_seeds, 2048),
    Target("inner_path", _inner, (UnsafePathError,), _inner_seeds, 256),
)
