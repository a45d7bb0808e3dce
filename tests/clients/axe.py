"""Rules of accessibility that a page breaks, by axe-core in headless Chromium: reports and the manual."""

from __future__ import annotations

from pathlib import Path

from ..support.browser_page import BrowserPage
from .environments import node_modules

# All rules, with those that axe calls best practices: landmarks, headings in order, one main part.
_RUN = """(async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}): ${node.target.join(" ")}: ${node.failureSummary.replace(/\\s+/g, " ")}`));
})()"""


def axe_file() -> Path:
    """Return axe-core, one file of JavaScript, as axe_core/package-lock.json pins it; raises Unavailable."""
    return node_modules("axe-core", "axe_core") / "axe-core" / "axe.min.js"


def violations(page: BrowserPage, axe: str) -> list[str]:
    """Return a line for each element of the open page that breaks a rule; `axe` is the source of axe-core.

    page.set_screen(390, dark=True)
    page.open(Path("report.html"))
    assert violations(page, axe) == []
    """
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(axe)
    found: list[str] = page.evaluate(_RUN, wait=True)
    return found
