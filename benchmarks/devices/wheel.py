"""The packages `edge` and `benchmarks` as a wheel for a device, made from the files that run here."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ...edge.default_model import DEFAULT_MODEL
from ...edge.errors import BenchmarkError

_DISTRIBUTION = "edge-classify"
_SUFFIXES = {".py", ".typed", ".tflite", ".html", ".css", ".js", ".txt"}
_COMMANDS = {
    "edge-classify": "edge_classify.edge.__main__:main",
    "edge-benchmark": "edge_classify.benchmarks.__main__:main",
}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # A fixed time, so that the same files give the same bytes.


@dataclass(frozen=True)
class Wheel:
    """A wheel's file name and bytes, and the requirements of its base install, by PEP 508."""

    name: str
    data: bytes
    requires: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The checksum of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


def build_wheel() -> Wheel:
    """Make a wheel of `edge` and `benchmarks`, by the binary distribution format (PEP 427).

    Raises BenchmarkError where this package is not installed, since its requirements are then unknown.
    """
    try:
        version = metadata.version(_DISTRIBUTION)
        wanted = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        raise BenchmarkError(f"{_DISTRIBUTION} is not installed, only copied. Run: pip install .") from None
    requires = tuple(line for line in wanted if "extra ==" not in line)
    info = f"edge_classify-{version}.dist-info"
    files = dict(_package_files())
    files[f"{info}/METADATA"] = _describe(version, requires)
    files[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: edge-classify\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    scripts = "".join(f"{name} = {place}\n" for name, place in _COMMANDS.items())
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{scripts}".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    return Wheel(f"edge_classify-{version}-py3-none-any.whl", _zip(files), requires)


def locked_packages(*, old_arm: bool) -> bytes:
    """Return the lock of the runner's requirements: versions and checksums, in pip's format.

    With `old_arm`, that of 32-bit ARM, which leaves out what comes from Debian there.
    """
    name = "32-bit-arm.txt" if old_arm else "64-bit.txt"
    return Path(__file__).with_name("locked").joinpath(name).read_bytes()


def _package_files() -> Iterator[tuple[str, bytes]]:
    for root in (DEFAULT_MODEL.parent, Path(__file__).parent.parent):
        for path in sorted(root.rglob("*")):
            if path.suffix in _SUFFIXES:
                yield f"edge_classify/{root.name}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _describe(version: str, requires: tuple[str, ...]) -> bytes:
    python = metadata.metadata(_DISTRIBUTION)["Requires-Python"] or ">=3.10"
    lines = ["Metadata-Version: 2.1", f"Name: {_DISTRIBUTION}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}", *(f"Requires-Dist: {line}" for line in requires)]
    return ("\n".join(lines) + "\n").encode()


def _record(files: dict[str, bytes], own_name: str) -> bytes:
    rows = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*rows, f"{own_name},,\n"]).encode()


def _zip(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return raw.getvalue()
