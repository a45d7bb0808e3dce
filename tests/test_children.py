"""Real child processes: answers, and the reasons of those that give none."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from edge_classify.edge.children import Child, ask
from edge_classify.edge.processes import python_command

# Adds numbers; other questions make it print, crash, hang or end.
ADDING = """
import os, sys, time
from edge_classify.edge.child_loop import answer_questions
def answer(question):
    exec(question.get("do", ""))
    return {"sum": sum(question["add"])}
answer_questions(answer)
"""


@pytest.fixture
def child() -> Iterator[Child]:
    started = Child(python_command(ADDING))
    yield started
    started.close()


def test_child_answers_one_question_after_the_other(child: Child) -> None:
    assert child.ask({"add": [1, 2]}, 60).answer == {"sum": 3}
    child.send({"add": [3]})
    child.send({"add": [4]})
    assert [child.receive(60).answer, child.receive(60).answer] == [{"sum": 3}, {"sum": 4}]


def test_output_of_libraries_is_no_answer_however_long_it_is(child: Child) -> None:
    fake = r"""os.write(1, b'{"sum": 9}\n'); """
    noise = fake + "print('x' * 10**6); print('y' * 10**6, file=sys.stderr)"
    assert child.ask({"do": noise, "add": [1]}, 60).answer == {"sum": 1}


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("os.abort()", "was killed by SIGABRT"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL, perhaps for lack of memory"),
        ("raise OSError('no such thing')", "failed (OSError: no such thing)"),
        ("os._exit(3)", "failed (exit status 3)"),
        ("os._exit(0)", "ended without an answer"),
    ],
)
def test_child_that_dies_is_a_reply_with_the_reason_and_so_is_every_later_question(
    child: Child, do: str, reason: str
) -> None:
    for _ in range(2):
        reply = child.ask({"do": do, "add": []}, 60)
        assert (reply.answer, reply.reason) == (None, reason)


def test_child_that_hangs_is_killed_after_the_limit_even_while_it_prints() -> None:
    child = Child(python_command("while True: print('still here')"))
    assert child.receive(0.5).reason == "gave no answer within 0.5 seconds"
    assert not psutil.pid_exists(child.pid)
    child.close()


def test_child_leaves_ctrl_c_to_its_parent_and_ends_with_its_standard_input(child: Child) -> None:
    assert child.ask({"add": []}, 60).answer == {"sum": 0}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.send_signal(number)
    assert child.ask({"add": [1]}, 60).answer == {"sum": 1}
    assert child.wait(60) is None
    assert not psutil.pid_exists(child.pid)


def test_child_that_does_not_end_is_killed_by_close() -> None:
    child = Child(python_command("print({}, flush=True); import time; time.sleep(600)"))
    assert child.receive(60).answer == {}
    child.close()
    child.close()
    assert not psutil.pid_exists(child.pid)


def test_signals_to_a_group_reach_the_processes_that_the_child_starts() -> None:
    code = (
        "import json, subprocess, sys\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(json.dumps({'pid': other.pid}), flush=True)\n"
        "other.wait()\n"
    )
    child = Child(python_command(code))
    answer = child.receive(60).answer
    assert answer is not None
    other = psutil.Process(answer["pid"])
    child.kill()
    deadline = time.monotonic() + 30
    while other.is_running() and other.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not other.is_running() or other.status() == psutil.STATUS_ZOMBIE


def test_program_that_does_not_exist_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match="no_such_program"):
        Child(["/no_such_program"])


def test_code_that_is_asked_once_gives_its_answer_or_the_reason() -> None:
    started = time.monotonic()
    assert ask("import time; time.sleep(600)", timeout=1).reason == "gave no answer within 1 seconds"
    assert time.monotonic() - started < 300
    assert ask("import os; os.abort()", timeout=60).reason == "was killed by SIGABRT"
    assert ask("raise OSError('no such thing')", timeout=60).reason == "failed (OSError: no such thing)"
    assert ask("print('a remark'); print('[1]')", timeout=60).reason == "ended without an answer"
    assert ask("import sys, json; print(json.dumps({'all': sys.argv[1:]}))", "a", timeout=60).answer == {
        "all": ["a"]
    }
    assert ask(ADDING, question={"add": [2, 2]}, timeout=60).answer == {"sum": 4}


def test_crash_or_hang_after_the_answer_counts_when_code_is_asked_once() -> None:
    answer = "import os, time; print('{}', flush=True); "
    assert ask(answer + "os.abort()", timeout=60).reason == "was killed by SIGABRT"
    assert ask(answer + "time.sleep(600)", timeout=1).reason == "did not end within 1 seconds"


def test_child_does_not_import_modules_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "struct.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    reply = ask("import json, struct; print(json.dumps({'file': struct.__file__}))", timeout=60)
    assert reply.answer is not None
    assert reply.answer["file"].startswith(sys.base_prefix)


def test_child_gets_the_environment_that_it_is_given() -> None:
    code = "import json, os; print(json.dumps({'found': os.environ.get('GIVEN')}))"
    child = Child(python_command(code), {**os.environ, "GIVEN": "yes"})
    assert child.receive(60).answer == {"found": "yes"}
    child.close()
