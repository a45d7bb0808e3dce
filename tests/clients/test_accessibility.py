"""Both reports break no rule of axe-core, on a phone and on a desk, in light and in dark colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.benchmark_reports import eight_files, write_made_up_report
from ..support.browser_page import SCREENS, BrowserPage, browsing
from ..support.commands import run_command
from .axe import violations

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def page(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserPage]:
    """Return a page in headless Chromium."""
    with browsing(str(browser), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def broken_on_screens(page: BrowserPage, axe: str) -> list[str]:
    """Return the rules that the open page breaks on any screen, with all its parts unfolded."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    broken = []
    for width, dark in SCREENS:
        page.set_screen(width, dark=dark)
        broken += [f"{width} px, {'dark' if dark else 'light'}: {line}" for line in violations(page, axe)]
    return broken


def test_axe_finds_a_picture_without_a_text(page: BrowserPage, axe: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text('<!doctype html><html lang="en"><title>t</title><main><h1>t</h1><img src="a.png"></main>')
    page.open(path)
    assert [line.partition(" ")[0] for line in violations(page, axe)] == ["image-alt"]


def test_training_report_is_accessible(page: BrowserPage, axe: str, run: Path) -> None:
    page.open(run / "report.html")
    assert broken_on_screens(page, axe) == []


def test_audit_report_is_accessible(page: BrowserPage, axe: str, shapes: Path, tmp_path: Path) -> None:
    output = tmp_path / "audit"
    assert run_command("edge-train", shapes, "--audit-only", "--output", output).returncode == 0
    page.open(output / "report.html")
    assert broken_on_screens(page, axe) == []


def test_benchmark_report_is_accessible(page: BrowserPage, axe: str, tmp_path: Path) -> None:
    page.open(write_made_up_report(tmp_path, eight_files()))
    assert broken_on_screens(page, axe) == []
