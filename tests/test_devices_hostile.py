"""A device that is somebody else's by now: whatever it answers ends in one sentence, and costs little."""

from __future__ import annotations

import base64
import copy
import json
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from edge_classify.benchmarks.cli import main
from edge_classify.benchmarks.devices import run
from edge_classify.benchmarks.devices.android import Adb, describe_device, parse_figures
from edge_classify.benchmarks.devices.remote_job import DeviceOutcome, RemoteJob
from edge_classify.benchmarks.devices.target import Target
from edge_classify.benchmarks.results.reading import parse_record
from edge_classify.benchmarks.summary import print_summary
from edge_classify.edge.errors import BenchmarkError

from .support import benchmark_results, tiny_model
from .support.ssh_server import one_wheel

FACTS: dict[str, Any] = {
    "python": "3.11.2", "implementation": "CPython", "system": "Linux", "machine": "aarch64", "bits": 64,
    "libc": ["glibc", "2.36"], "folder": "/home/pi/.cache/edge-classify", "free": 10**12, "environments": [],
    "missing": [], "missing_from_debian": [],
}  # fmt: skip
# Plays ssh: takes the agent's source, and answers as it is told. A string in place of an answer is printed as
# it is, behind the mark.
AGENT = r"""
import base64, json, re, sys, time
told = json.load(open(sys.argv[1]))
source = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
mark = re.search(rb"edge-classify-[0-9a-f]{16}:", source)[0].decode()
def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()
exec(told.get("code", ""))
def send(answer, number=0):
    say(mark + (answer if isinstance(answer, str) else json.dumps({"request": number, **answer})) + "\n")
send(told["hello"])
files = []
for line in sys.stdin.buffer:
    request = json.loads(line)
    do = request["do"]
    if do == "offer":
        files = request["files"]
    if do == "take":
        sys.stdin.buffer.read(request["size"] - request["offset"])
    usual = {
        "offer": [{"done": True, "present": [size for _, size, _ in files]}],
        "take": [{"done": True, "right": True}],
        "prepare": [{"done": True, "reused": False}],
        "follow": [{"stream": "out", "data": ""}, {"done": True, "status": 0}],
        "remove": [{"done": True, "left": None}],
    }
    for answer in told.get(do, usual.get(do, [{"done": True}])):
        send(answer, request["request"])
"""
Measure = Callable[..., DeviceOutcome]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measure a model on a device that answers as it is told."""
    monkeypatch.setattr(run, "build_wheel", one_wheel)
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "model.tflite").write_bytes(b"model")

    def start(**told: Any) -> DeviceOutcome:
        told = {"hello": {"facts": FACTS}, **told}
        (tmp_path / "told.json").write_text(json.dumps(told))
        command = [sys.executable, str(tmp_path / "agent.py"), str(tmp_path / "told.json")]
        monkeypatch.setenv("EDGE_CLASSIFY_SSH", shlex.join(command))
        job = RemoteJob((tmp_path / "model.tflite",), patience=0.1)
        (outcome,) = run.run_on([Target.parse("pi")], job, lambda _target, _lines: None)
        return outcome

    return start


def out(text: str) -> dict[str, Any]:
    return {"stream": "out", "data": base64.b64encode(text.encode()).decode()}


ENDED = {"done": True, "status": 0}
NOT_OURS = "what it answers is not of edge-classify's agent: "


def test_device_that_answers_as_ours_do_is_believed(measure: Measure, tmp_path: Path) -> None:
    line = json.dumps({"file": "models/0/model.tflite", "format": "1.1"}) + "\n"
    outcome = measure(follow=[out(line), ENDED])
    assert (outcome.error, outcome.left, outcome.status) == (None, None, 0)
    assert outcome.records[0]["file"] == str(tmp_path / "model.tflite")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"hello": "{"}, "it is not JSON"),
        ({"hello": "[" * 100_000}, "nested deeper"),
        ({"hello": "{\"facts\": {\"free\": NaN}}"}, "NaN is not a number"),
        ({"hello": "[]"}, "no JSON object"),
        ({"hello": {}}, "holds no facts"),
        ({"hello": {"facts": {**FACTS, "python": "3.11.2; rm -r ~"}}}, "python is '3.11.2; rm -r ~'"),
        ({"hello": {"facts": {**FACTS, "python": 3.11}}}, "python is 3.11"),
        ({"hello": {"facts": {**FACTS, "machine": "$(reboot)"}}}, r"machine is '\$\(reboot\)'"),
        ({"hello": {"facts": {**FACTS, "bits": 63}}}, "bits is 63"),
        ({"hello": {"facts": {**FACTS, "free": -1}}}, "free is -1"),
        ({"hello": {"facts": {**FACTS, "free": 10**30}}}, "is too large"),
        ({"hello": {"facts": {**FACTS, "libc": "glibc"}}}, "libc is 'glibc'"),
        ({"hello": {"facts": {**FACTS, "missing": ["\x1b[2J"]}}}, "missing is "),
        ({"hello": {"facts": {**FACTS, "folder": "/a\x1b]0;b\x07"}}}, "folder is "),
        ({"hello": {"facts": {**FACTS, "folder": "~"}}}, "folder is '~'"),
        ({"hello": {"facts": {**FACTS, "environments": None}}}, "environments is None"),
        ({"offer": [{"done": True}]}, "present is no list"),
        ({"offer": [{"done": True, "present": [1]}]}, "present is no list"),
        ({"offer": [{"done": True, "present": [-1, 0, 0]}]}, "-1 are there"),
        ({"offer": [{"done": True, "present": [True, None, 0]}]}, "True are there"),
        ({"offer": [{"done": True, "present": [0, 0, 2**40]}]}, "are there"),
        ({"offer": [{"done": True, "error": "\x1b[31m" + "x" * 10**5}]},  r"cannot offer: \\x1b\[31mx+"),
        (
            {"take": [{"done": True, "right": 1}], "offer": [{"done": True, "present": [0, 0, 0]}]},
            "right is 1",
        ),
        ({"prepare": [{"done": True, "failed": "rm"}]}, "failed is 'rm'"),
        ({"prepare": [{"done": True, "failed": "pip", "text": ["x"]}]}, "text is "),
        ({"prepare": [{"done": True, "failed": "pip", "text": "x", "requires": "["}]}, "requires: it is "),
        (
            {"prepare": [{"done": True, "failed": "pip", "text": "NewConnectionError",
                          "requires": '["a\\"; reboot; \\""]'}]},
            "requires is ",
        ),
        ({"follow": [{"stream": "tty", "data": ""}, ENDED]}, "stream is 'tty'"),
        ({"follow": [{"stream": "out", "data": "%%"}, ENDED]}, "data is no base64"),
        ({"follow": [{"done": True}]}, "status is ''"),
        ({"follow": [{"done": True, "status": "0"}]}, "status is '0'"),
        ({"follow": [{"done": True, "status": 10**6}]}, "status is 1000000"),
    ],
)  # fmt: skip
def test_answer_that_is_not_the_agents_is_one_sentence(
    told: dict[str, Any], said: str, measure: Measure
) -> None:
    outcome = measure(**told)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(outcome.error)
    assert (outcome.error or "").startswith("pi: ")
    assert "\n" not in (outcome.error or "") and "\x1b" not in (outcome.error or "")
    assert len(outcome.error or "") < 1000 and outcome.status is None


@pytest.mark.parametrize(
    ("follow", "said"),
    [
        ([ENDED], "ended there with status 0, and gave no result"),
        ([out("{}\n"), ENDED], "it gave no result for .*model.tflite"),
        ([out('{"file": ["models/0/model.tflite"]}\n'), ENDED], "it gave no result for"),
        ([out('{"file": NaN}\n'), ENDED], "is not a result of edge-benchmark"),
        ([out("[" * 10**5 + "\n"), ENDED], "is not a result of edge-benchmark"),
        ([out("\x1b[2Jhello\n"), ENDED], r"is not a result of edge-benchmark: '\\x1b\[2Jhello'"),
        ([{"done": True, "status": 137}], "killed there by signal 9"),
        ([{"done": True, "status": None}], "without an exit status"),
        ([{**out("remark\n" * 10_000), "stream": "err"}] * 20, "it sends more remarks than can be right"),
    ],
)
def test_run_that_gives_no_result_is_a_failure_whatever_its_status(
    follow: list[dict[str, Any]], said: str, measure: Measure
) -> None:
    outcome = measure(follow=follow)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(outcome.error)
    assert "\n" not in (outcome.error or "") and "\x1b" not in (outcome.error or "")


@pytest.mark.parametrize(
    "record",
    [
        {}, {"format": "1.1"}, {"tool": "benchmark_model"}, {"tool": 1, "device": [], "host": "x"},
        {"format": "1.1", "error": 5}, {"recommendation": {}}, {"comparison": "\x1b[2J"},
    ],
)  # fmt: skip
def test_command_fails_where_a_device_gives_a_result_that_cannot_be_read(
    record: dict[str, Any], measure: Measure, tmp_path: Path
) -> None:
    measure(follow=[out(json.dumps({"file": "models/0/model.tflite", **record}) + "\n"), ENDED])
    model = tiny_model.write_sealed(tmp_path / "model.tflite")
    result = CliRunner().invoke(main, [str(model), "--on", "pi"])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit) and "\x1b" not in result.output
    assert "pi gave a result that cannot be read: " in result.output


def test_record_with_any_value_in_any_place_is_printed_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(json.dumps(benchmark_results.result().to_record()))

    def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        yield path
        keys = (
            value if isinstance(value, dict) else range(min(1, len(value))) if isinstance(value, list) else ()
        )
        for key in keys:
            yield from places(value[key], (*path, key))

    for *parents, last in filter(None, places(whole)):
        for wrong in (None, True, -1, 0, 2**62, 1e308, "\x1b[2J", [], {}, "", [None], {"a": 1}):
            record = copy.deepcopy(whole)
            inner = record
            for key in parents:
                inner = inner[key]
            inner[last] = wrong
            with suppress(BenchmarkError):
                print_summary([parse_record(record)], (), details=True)
    assert "\x1b[2J" not in capsys.readouterr().out


def test_endless_stderr_fills_neither_memory_nor_the_temporary_folder(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = psutil.Process().memory_info().rss
    outcome = measure(
        code="for _ in range(300): sys.stderr.write('x' * 999_999 + '\\n')\nsys.exit('this is the reason')"
    )
    assert "this is the reason" in (outcome.error or "")
    assert not list((tmp_path / "temporary").iterdir())
    assert psutil.Process().memory_info().rss - before < 50e6


def test_long_lines_and_other_peoples_lines_take_no_memory(measure: Measure) -> None:
    before = psutil.Process().memory_info().rss
    outcome = measure(code="for _ in range(100): say('x' * 3_000_000)\nsay('\\nno mark\\n' * 100_000)")
    assert "gave no result" in (outcome.error or "")
    assert psutil.Process().memory_info().rss - before < 50e6


def test_device_that_talks_and_says_nothing_is_given_up(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.benchmarks.devices.link.START_SECONDS", 1.0)
    outcome = measure(code="while True: say('hello\\n')")
    assert "it was silent for too long" in (outcome.error or "")


def test_advice_to_remove_a_folder_is_quoted_for_the_shells_of_both_machines(measure: Measure) -> None:
    folder = "/home/pi/it's; $(touch here)"
    told = {
        "hello": {"facts": {**FACTS, "folder": folder}},
        "remove": [{"done": True, "left": "busy\x1b[2J"}],
    }
    left = measure(**told).left or ""
    assert "\x1b" not in left
    command = shlex.split(left.partition("Remove it with: ")[2])
    assert command[:2] == ["ssh", "pi"] and len(command) == 3
    remove, option, place = shlex.split(command[2])
    assert (remove, option) == ("rm", "-r")
    assert place.startswith(f"{folder}/benchmark-")


def test_figures_of_a_phone_that_are_no_numbers_are_one_sentence() -> None:
    line = "Inference timings in us: Init: {0}, First inference: {0}, Warmup (avg): {0}, Inference (avg): {0}"
    for wrong in ("1.2.3.4", "nan", "-5", "1e999", "9" * 400, "0", "\x1b[2J"):
        with pytest.raises(BenchmarkError) as raised:
            parse_figures(line.format(wrong) + "\ncount=1 first=2\n")
        assert len(str(raised.value)) < 400 and "\x1b" not in str(raised.value)


def test_names_of_a_phone_are_short_and_without_codes_that_terminals_obey() -> None:
    class Strange(Adb):
        def __init__(self) -> None:
            pass

        def shell(self, command: str, seconds: float = 0) -> str:
            return {"nproc": "²", "cat /proc/meminfo": "MemTotal: " + "9" * 5000 + " kB"}.get(
                command, "\x1b[2J" + "x" * 10**6 + "\nsecond line"
            )

    host = describe_device(Strange())
    assert (host.cores, host.memory_mb) == (1, None)
    for text in (host.board, host.processor, host.architecture, host.system):
        assert text is not None and len(text) < 1000 and "\x1b" not in text and "\n" not in text
