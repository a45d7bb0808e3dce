from __future__ import annotations

import json
import os
import subprocess
import threading
from base64 import b64encode
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from edge_classify.benchmarks.report.devices import pareto_front
from edge_classify.benchmarks.results import reading
from edge_classify.benchmarks.results.origin import describe_origin
from edge_classify.benchmarks.results.reading import parse_record, read_results, write_results
from edge_classify.benchmarks.results.result import ChoiceAnswers, Failure, Result
from edge_classify.edge.errors import BenchmarkError, OutputKeptError
from edge_classify.edge.runtime import Execution
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .support import benchmark_results
from .support.system import require

# Numbers that every field allows: times above 0, rates up to 1.
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    float: st.floats(1e-6, 1.0),
    int: st.integers(1, 10**6),
    str: st.text(max_size=6),
    bool: st.booleans(),
    NoneType: st.none(),
    Execution: st.builds(Execution, threads=st.integers(1, 8)),  # It is no part of the record.
    ChoiceAnswers: st.builds(
        ChoiceAnswers, data=st.text(max_size=6), images=st.integers(9, 16), sha256=st.text(max_size=6),
        right=st.binary(min_size=2, max_size=2).map(lambda raw: b64encode(raw).decode()),
    ),
}  # fmt: skip


def _any(kind: Any) -> st.SearchStrategy[Any]:
    """Anything of a type that the records use."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        return st.builds(kind, **{name: _any(hint) for name, hint in get_type_hints(kind).items()})
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        if parts[1:] == (...,):
            return st.lists(_any(parts[0]), min_size=1, max_size=2).map(tuple)
        return st.tuples(*map(_any, parts))
    assert isinstance(kind, UnionType)
    return st.one_of(*map(_any, parts))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(_any(Result) | _any(Failure))
def test_result_that_was_written_and_read_is_the_same(result: Result | Failure) -> None:
    line = json.dumps(result.to_record(), allow_nan=False)
    assert parse_record(json.loads(line)) == result


def test_how_a_model_was_run_is_known_until_the_result_is_read_from_a_file() -> None:
    how = Execution(threads=4)
    result = benchmark_results.result(execution=how)
    assert result.known_execution() == how
    assert "execution" not in result.to_record()
    found = parse_record(json.loads(json.dumps(result.to_record())))
    assert isinstance(found, Result) and found.execution is None
    with pytest.raises(ValueError, match="flowers_int8"):
        found.known_execution()


def test_file_of_results_and_failures_is_read_as_it_was_written(tmp_path: Path) -> None:
    results: list[Result | Failure] = [
        benchmark_results.result(accuracy=benchmark_results.accuracy(pairing=benchmark_results.pairing())),
        benchmark_results.failure(),
        benchmark_results.result(stages=(benchmark_results.stages(),), soak=benchmark_results.soak()),
    ]
    path = tmp_path / "r.jsonl"
    write_results(path, results)
    assert read_results(path) == results
    assert path.read_text().count("\n") == 3
    with pytest.raises(OutputKeptError, match=r"r\.jsonl has appeared meanwhile.*kept in .*r\.kept\.jsonl"):
        write_results(path, results[1:])
    assert read_results(path) == results and read_results(tmp_path / "r.kept.jsonl") == results[1:]
    write_results(path, results[:1], force=True)
    assert read_results(path) == results[:1]


def test_blank_lines_windows_ends_and_keys_of_a_newer_minor_version_are_no_matter(tmp_path: Path) -> None:
    result = benchmark_results.result()
    newer = {**result.to_record(), "format": "1.9", "future": {"x": 1}, "execution": "fast"}
    newer["host"] = {**newer["host"], "future": 1}
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\r\n" + json.dumps(newer).encode() + b"\r\n\r\n")
    assert read_results(path) == [result]


def test_whole_number_is_read_where_a_fraction_is_meant() -> None:
    line = json.dumps({**benchmark_results.result().to_record(), "median_ms": 20})
    found = parse_record(json.loads(line))
    assert isinstance(found, Result) and found.latency.median_ms == 20


def test_last_line_that_is_cut_off_is_left_out_and_said(tmp_path: Path) -> None:
    result = benchmark_results.result()
    path = tmp_path / "r.jsonl"
    write_results(path, [result, result])
    path.write_bytes(path.read_bytes()[:-200])
    said: list[str] = []
    assert read_results(path, said.append) == [result]
    assert said == [f"{path}: line 2, its last, is cut off and left out; those before it are whole"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "2.0"}, "it has format 2.0, and this program reads 1.x"),
        ({"format": None}, "written by an earlier version; measure again"),
        ({"format": 1.0}, '"format" must be such as "1.2". Received: 1.0'),
        ({"median_ms": "20"}, "median_ms has a value of the wrong type. Received: '20'"),
        ({"median_ms": 0}, "median_ms must be above 0. Received: 0"),
        ({"blocks": []}, "blocks must be of at least one block of each process"),
        ({"blocks": [[20.0], []]}, "blocks must be of at least one block of each process"),
        ({"blocks": [[20.0], [0.0]]}, "blocks must be above 0. Received: 0.0"),
        ({"blocks": "fast"}, "blocks has a value of the wrong type. Received: 'fast'"),
        ({"median_ci95": [1, 2, 3]}, "median_ci95 has a value of the wrong type"),
        ({"remarks": "one"}, "remarks has a value of the wrong type. Received: 'one'"),
        ({"host": {}}, "host.architecture is missing"),
        ({"threads": 0}, "threads must be at least 1. Received: 0"),
        (
            {"conditions": {"warnings": [3]}},
            "conditions.warnings has a value of the wrong type. Received: (3,)",
        ),
    ],
)
def test_record_that_is_no_result_of_this_version_says_what_is_wrong_and_where(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    record = benchmark_results.result().to_record()
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(record) + "\n" + json.dumps({**record, **change}) + "\n")
    with pytest.raises(BenchmarkError) as error:
        read_results(path)
    assert str(error.value).startswith(f"{path}, line 2: ") and said in str(error.value)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "holds no results; measure again"),
        (b"\n \n", "holds no results; measure again"),
        (b"{", "not JSON"),
        (b'{"median_ms": NaN}\n', "NaN is not a number"),
        (b'{"median_ms": 1e999}\n', "1e999 is not a number"),
        (b'{"runs": ' + b"9" * 5000 + b"}\n", "is too large"),
        (b"[" * 100_000 + b"\n", "line 1 is not a result"),
        (b"\xff\xfe\x00\n", "line 1 is not a result"),
        (b"[1]\n", "a result must be a JSON object. Received: [1]"),
        (b'{"file": "m.tflite", "median_ms": 3}\n', "written by an earlier version"),
        (b'{"format": "1.0"}\n', "line 1: file is missing"),
    ],
)
def test_file_that_holds_no_results_is_refused(raw: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(raw)
    with pytest.raises(BenchmarkError) as error:
        read_results(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_folder_and_missing_file_are_no_results(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(BenchmarkError, match="cannot be read as results"):
            read_results(path)


def test_file_without_an_end_is_read_no_further_than_results_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MAX_BYTES", 2 * 1024**2)
    with pytest.raises(BenchmarkError, match="is larger than 2 MiB"):
        read_results(Path("/dev/zero"))


def test_results_come_through_a_pipe(tmp_path: Path) -> None:
    pipe, result = tmp_path / "pipe", benchmark_results.result()
    os.mkfifo(pipe)
    line = json.dumps(result.to_record()) + "\n"
    writer = threading.Thread(target=pipe.write_text, args=(line,))
    writer.start()
    assert read_results(pipe) == [result]
    writer.join()


def _git(folder: Path, *arguments: str) -> str:
    command = [require("git"), "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_origin_names_the_commit_that_is_checked_out(tmp_path: Path) -> None:
    assert describe_origin(tmp_path).commit is None
    _git(tmp_path, "init", "--quiet")
    assert describe_origin(tmp_path).commit is None
    (tmp_path / "model.txt").write_text("1")
    _git(tmp_path, "add", "model.txt")
    _git(tmp_path, "commit", "--quiet", "-m", "first")
    head = _git(tmp_path, "rev-parse", "HEAD")
    assert describe_origin(tmp_path).commit == head
    (tmp_path / "model.txt").write_text("2")
    assert describe_origin(tmp_path).commit == head


def test_no_program_that_a_repository_names_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that came from somebody else may bring a .git/config along."""
    repository, ran = tmp_path / "models", tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >>{ran}\ncat\n")
    program.chmod(0o755)
    repository.mkdir()
    _git(repository, "init", "--quiet")
    (repository / "model.tflite").write_text("1")
    (repository / ".gitattributes").write_text("* filter=own diff=own\n")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "-m", "first")
    for name in (
        "filter.own.clean", "filter.own.smudge", "filter.own.process", "diff.own.textconv", "diff.external",
        "core.fsmonitor", "core.pager", "pager.rev-parse", "core.sshCommand", "core.editor",
        "alias.rev-parse", "gpg.program", "credential.helper", "core.askPass", "core.gitProxy",
    ):  # fmt: skip
        _git(repository, "config", name, f"!{program}" if name == "alias.rev-parse" else str(program))
    _git(repository, "config", "core.hooksPath", str(tmp_path / "hooks"))
    (tmp_path / "hooks").mkdir()
    for name in ("post-index-change", "reference-transaction", "pre-auto-gc"):
        (tmp_path / "hooks" / name).symlink_to(program)
    (repository / "model.tflite").write_text("2")
    (repository / ".git" / "index").touch()
    ran.unlink(missing_ok=True)
    assert len(describe_origin(repository).commit or "") == 40
    monkeypatch.chdir(repository)
    assert len(describe_origin().commit or "") == 40
    assert not ran.exists()
    _git(repository, "status", "--porcelain")  # The trap works.
    assert "program" in ran.read_text()


def test_commit_of_a_repository_of_another_user_is_not_read(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "first")
    os.chown(tmp_path, 12345, 12345)
    os.chown(tmp_path / ".git", 12345, 12345)
    assert describe_origin(tmp_path).commit is None


def test_origin_without_git_or_with_one_that_hangs_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert describe_origin(tmp_path).commit is None
    hanging = tmp_path / "git"
    hanging.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr("edge_classify.benchmarks.results.origin._TIMEOUT_S", 0.2)
    origin = describe_origin(tmp_path)
    assert origin.commit is None and origin.started.endswith("+00:00") and origin.version


POINTS = st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), max_size=12)


@given(POINTS)
def test_front_holds_exactly_what_nothing_else_beats(points: list[tuple[float, float]]) -> None:
    front = pareto_front(points)
    for index, (cost, gain) in enumerate(points):
        beaten = any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
        assert (index in front) is not beaten
    assert [points[i] for i in front] == sorted(points[i] for i in front)
