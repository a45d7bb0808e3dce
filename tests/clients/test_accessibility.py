"""Both reports break no rule of axe-core, on a phone and on a desk, in light and in dark colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.browser_page import browsing
from .axe import violations

pytestmark = pytest.mark.clients


def test_axe_finds_a_picture_without_a_text(browser: Path, axe: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text('<!doctype html><html lang="en"><title>t</title><main><h1>t</h1><img src="a.png"></main>')
    with browsing(str(browser), tmp_path / "profile") as page:
        page.open(path)
        assert [line.partition(" ")[0] for line in violations(page, axe)] == ["image-alt"]
