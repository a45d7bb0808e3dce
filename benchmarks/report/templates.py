"""The HTML templates of reports, of benchmarks and of training; everything that they show is escaped."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ...edge.errors import MissingPackageError
from ...edge.extras import pip_install
from ...edge.printable import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

_SCRIPT = "sort.js"  # All reports share it.


def make_environment(package: str) -> Environment:
    """Return Jinja2 with the templates in `package`, the shared script, and the variable script_sha256.

        make_environment(__package__).get_template("page.html").render(title="Benchmark")

    Text is shown as HTML text, with control characters, right-to-left marks and broken letters made visible;
    a variable that is not given is an error. Raises MissingPackageError without Jinja2.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingPackageError("jinja2", "--report", pip_install("report")) from None

    def source(name: str) -> str:
        return _read(__package__ if name == _SCRIPT else package, name)

    def visible(value: Any) -> Any:
        return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    made = Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # The script's checksum is of the whole file.
    )
    # By this checksum the page's Content-Security-Policy allows the script.
    digest = hashlib.sha256(_read(__package__, _SCRIPT).encode()).digest()
    made.globals["script_sha256"] = base64.b64encode(digest).decode()
    return made


def _read(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
