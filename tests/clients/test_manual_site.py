"""The site of the manual in Chromium: accessible, as wide as the screen, and asking no other host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ..support.browser_page import BrowserPage, browsing
from .axe import violations
from .environments import Unavailable, or_skip

pytestmark = pytest.mark.clients

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "build/site"
PAGES = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
EACH_KIND = ("index.md", "start/laptop.md", "understand/quantization.md", "reference/edge-train.md")
_TOO_WIDE = """(() => {
  const page = document.scrollingElement;
  return page.scrollWidth > innerWidth ? [...document.querySelectorAll("article *")]
    .filter((part) => part.getBoundingClientRect().right > innerWidth + 1)
    .map((part) => part.outerHTML.slice(0, 80)).slice(0, 3).concat(`${page.scrollWidth} px`) : [];
})()"""
_NOT_SHOWN = (
    """[...document.images].filter((one) => one.complete && !one.naturalWidth).map((one) => one.src)"""
)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def _site() -> Path:
    if not (SITE / "index.html").is_file():
        raise Unavailable("build/site is not there: make docs")
    return SITE


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the site on loopback."""
    folder = or_skip(_site)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(browser: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserPage]:
    with browsing(str(browser), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def _address_of(source: str) -> str:
    """Return where mkdocs puts a page: its folder has the page's name."""
    name = source.removesuffix(".md")
    return "" if name == "index" else f"{name.removesuffix('/index')}/"


@pytest.mark.parametrize(
    ("source", "width", "dark"),
    [
        *((source, 390, True) for source in PAGES),
        *((source, 1280, False) for source in PAGES),
        *((source, width, dark) for source in EACH_KIND for width, dark in ((390, False), (1280, True))),
    ],
)
def test_page_breaks_no_rule_and_asks_no_other_host(
    source: str, width: int, dark: bool, page: BrowserPage, address: str, axe: str
) -> None:
    page.set_screen(width, dark=dark)
    page.open(address + _address_of(source))
    requests = [each["request"]["url"] for each in page.parameters_of("Network.requestWillBeSent")]
    assert requests and [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    failed = [
        each for each in page.parameters_of("Network.responseReceived") if each["response"]["status"] >= 400
    ]
    assert failed == [] and page.evaluate(_NOT_SHOWN) == []
    assert page.evaluate(_TOO_WIDE) == []
    assert violations(page, axe) == []


def test_search_finds_an_option_of_a_command(page: BrowserPage, address: str) -> None:
    page.set_screen(1280)
    page.open(address + "?q=delegate")
    found = """new Promise((done) => {
      const look = () => {
        const links = [...document.querySelectorAll(".md-search-result__link")].map((one) => one.href);
        links.length ? done(links) : setTimeout(look, 100);
      };
      look();
    })"""
    links: list[str] = page.evaluate(found, wait=True)
    assert any("reference/edge-classify/" in link for link in links), links
    requests = [each["request"]["url"] for each in page.parameters_of("Network.requestWillBeSent")]
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
