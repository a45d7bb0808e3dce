"""The process that measures stages: reads a Job from stdin, and prints what came of it as JSON."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from ...edge.errors import EdgeClassifyError
from ..results.result import Stages
from .camera import time_camera
from .files import time_files
from .job import Job, answer_of, parse_job


def main() -> None:
    """Do the job."""
    job = parse_job(sys.stdin.buffer.read())
    gc.freeze()  # As edge-classify does: the garbage collector does not look through modules again and again.
    try:
        outcome: Stages | EdgeClassifyError = _measure(job)
    except EdgeClassifyError as error:
        outcome = error
    sys.stdout.write(json.dumps(answer_of(outcome)))


def _measure(job: Job) -> Stages:
    classifier = job.load()
    if job.camera is not None:
        return time_camera(classifier, job.camera)
    return time_files(classifier, [Path(image) for image in job.images], job.workers)
