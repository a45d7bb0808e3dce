"""All checks, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..classifier import DEFAULT_EXECUTION
from ..foreign import NO_FACTS, ForeignFacts
from ..image_labels.source import CLASS_FOLDERS, LabelSource
from ..runtime import Execution
from ..sources.camera import CameraOptions
from .board import check_board
from .cameras import check_camera, check_devices
from .delegates import check_edge_tpu
from .display import check_display
from .finding import Check, Finding, guarded
from .images import describe_labelled
from .known_faults import check_known_faults
from .machine import check_python, check_system, current_time
from .models import ModelQuestions, check_model
from .packages import check_image_packages, check_runtimes
from .sandbox import check_sandbox

if TYPE_CHECKING:  # Loaded only where a signature is required.
    from ..trusted_keys import TrustedKeys

_LABELLED_SECONDS = 5.0  # For all models together.
_ROOT = Path("/")
_ANY_CAMERA = CameraOptions()


def run_doctor(
    models: Sequence[Path],
    camera: str | None = None,
    camera_options: CameraOptions = _ANY_CAMERA,
    labelled: Path | None = None,
    execution: Execution = DEFAULT_EXECUTION,
    facts: ForeignFacts = NO_FACTS,
    root: Path = _ROOT,
    clock: Callable[[], datetime] = current_time,
    source: LabelSource = CLASS_FOLDERS,
    keys: TrustedKeys | None = None,
) -> Iterator[Finding]:
    """Check this machine and `models`, and yield each finding as it is made; raises nothing.

    `camera` is the value of --camera, and is opened. `labelled` is a folder of images, whose classes
    `source` names. `facts` are for models without a card. `root` is the folder that contains proc, sys, etc
    and dev. With `keys` only models that one of them has signed are run. It takes a few seconds, and writes
    nothing.
    """
    checks: list[tuple[str, Check]] = [
        ("Python", check_python),
        ("system", lambda: check_system(root, clock())),
        ("board", lambda: check_board(root)),
        ("image packages", check_image_packages),
        ("known faults", check_known_faults),
        ("runtime", lambda: check_runtimes(execution.runtime)),
        ("sandbox", check_sandbox),
        ("accelerator", lambda: check_edge_tpu(root)),
        ("cameras", lambda: check_devices(root)),
    ]
    if camera is not None:
        checks.append(("camera", partial(check_camera, camera, camera_options)))
    checks.append(("display", check_display))
    if labelled is not None:
        checks.append(("labelled images", partial(describe_labelled, labelled, source)))
    asked = ModelQuestions(facts, execution, labelled, _LABELLED_SECONDS / max(1, len(models)), source, keys)
    checks += [(f"model {path.name}", partial(check_model, path, asked)) for path in models]
    for name, check in checks:
        yield from guarded(name, check)
