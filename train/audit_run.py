"""edge-train --audit-only: looks through a data set and stops there. Needs no TensorFlow."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..edge.files import write_atomically
from .audit_view import render_audit, view_audit
from .cache import open_cache
from .datasets import BUILT_IN
from .findings import Audit
from .options import TrainOptions
from .output import AUDIT, REPORT, check_output, require_apart, require_place
from .prepare import prepare_audit


def audit_only(data: str, output: Path | None, options: TrainOptions, force: bool, command: str) -> Audit:
    """Return what is wrong with `data`; with `output`, write audit.json and report.html there.

    Raises DatasetError, OptionError and OutputExistsError.
    """
    root = None if data in BUILT_IN else Path(data)
    if output is not None:
        check_output(output, force)
        if root is not None:
            require_apart(root, output)
        require_place(output)
    with tempfile.TemporaryDirectory(prefix="edge-train-") as folder, open_cache(
        options.cache, Path(folder), root
    ) as cache:  # fmt: skip
        audited = prepare_audit(data, Path(folder), cache, options, audit_only=True)
        view = view_audit(audited.audit, audited.found.root)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            write_atomically(output / AUDIT, audited.audit.to_json())
            page = render_audit(audited.name, view, {"Command": command})
            write_atomically(output / REPORT, page.encode("utf-8", "backslashreplace"))
    return audited.audit
