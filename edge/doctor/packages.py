"""Python packages of the runner: which are installed, in which version, and which cannot be loaded."""

from __future__ import annotations

from collections.abc import Iterator

from ..children import ask
from ..runtime import RUNTIMES
from ..runtime_packages import PythonBuild, runtime_package, why_no_runtime
from .finding import ERROR, OK, WARNING, Finding

_SECONDS = 20  # To import a runtime from a slow SD card.
_IMPORT = (
    "import importlib, json, sys; import importlib.metadata as metadata; "
    "importlib.import_module(sys.argv[1]); print(json.dumps({'version': metadata.version(sys.argv[2])}))"
)
_SLOW = "tensorflow"


def check_image_packages() -> Iterator[Finding]:
    """Report numpy and Pillow, and Pillow's library for JPEG."""
    import numpy as np
    import PIL
    from PIL import features

    yield Finding("numpy", OK, np.__version__)
    turbo = features.check_feature("libjpeg_turbo")
    detail = f"{PIL.__version__}, JPEG by {'libjpeg-turbo' if turbo else 'plain libjpeg'}"
    if turbo:
        yield Finding("Pillow", OK, detail)
    else:
        yield Finding(
            "Pillow", WARNING, f"{detail}: photos are decoded slowly", "Run: pip install --upgrade pillow"
        )


def check_runtimes(wanted: str | None = None, python: PythonBuild | None = None) -> Iterator[Finding]:
    """Load each installed runtime in a child process; the first that works is used if none is `wanted`.

    `python` decides which remedy can work; by default it is the one that runs this. TensorFlow contains a
    runtime too, but is not loaded, since that takes seconds.
    """
    used = wanted
    install = _how_to_install(python or PythonBuild.here())
    for distribution, module in RUNTIMES.items():
        if distribution == _SLOW or not is_installed(distribution):
            continue
        reply = ask(_IMPORT, module, distribution, timeout=_SECONDS)
        if reply.answer is None:
            yield Finding(
                f"runtime {distribution}", ERROR, f"it {reply.reason}", _remedy(distribution, reply.reason)
            )
            continue
        used = used or distribution
        role = "used" if used == distribution else f"not used, since {used} is"
        yield Finding(f"runtime {distribution}", OK, f"{reply.answer['version']}, {role}")
    if is_installed(_SLOW):
        if used in (None, _SLOW):
            yield Finding(f"runtime {_SLOW}", WARNING, "used, but slow to load", install)
        else:
            yield Finding(f"runtime {_SLOW}", OK, f"not used, since {used} is")
    elif used is None:
        yield Finding("runtime", ERROR, "none can be used: no model can be run", install)


def _how_to_install(python: PythonBuild) -> str:
    reason = why_no_runtime(python)
    return f"Run: pip install {runtime_package(python)}" if reason is None else reason[0].upper() + reason[1:]


def is_installed(distribution: str) -> bool:
    """Return whether a package is installed, without loading it."""
    import importlib.metadata

    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _remedy(distribution: str, reason: str) -> str:
    if "SIGILL" in reason:
        return (
            "This processor lacks instructions that the wheel needs: use a 64-bit system, or another version"
        )
    if distribution == "tflite-runtime" and ("numpy" in reason.lower() or "_ARRAY_API" in reason):
        return 'It needs the numpy that it was built with. Run: pip install "numpy<2"'
    return f"Run: pip install --force-reinstall {distribution}"
