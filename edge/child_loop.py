"""The child's side of children.py: questions on standard input, answers on standard output.

It imports nothing outside the standard library, since the memory of some children is measured.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import IO, Any


def answer_questions(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Call `answer` with each question and print what it returns, until standard input ends.

    That ends when the parent closes it or is gone. What libraries print goes to stderr. The parent decides
    what Ctrl-C and the end of a service mean: SIGINT, SIGTERM and SIGHUP are ignored.
    """
    answers = _claim_stdout()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line))) + "\n")
            answers.flush()
    except BrokenPipeError:  # The parent is gone.
        pass


def _claim_stdout() -> IO[str]:
    """Return the pipe to the parent; from now on, file descriptor 1 is stderr."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return pipe
