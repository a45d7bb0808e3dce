"""Opens a page from a server on loopback in headless Chromium, and waits for what the page posts back."""

from __future__ import annotations

import json
import mimetypes
import queue
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from .environments import Unavailable

Read = Callable[[str], bytes | None]


def find_chromium() -> Path:
    """Return the browser's command; raises Unavailable."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    raise Unavailable("Chromium is not installed")


def files_in(folder: Path) -> Read:
    """Return a function from a path below `folder` to the file's bytes; None outside and where none is."""

    def read(name: str) -> bytes | None:
        path = (folder / name).resolve()
        return path.read_bytes() if path.is_relative_to(folder.resolve()) and path.is_file() else None

    return read


def posted_by_page(browser: Path, pages: Read, profile: Path, timeout: float) -> Any:
    """Open "page.html" out of `pages` in `browser`, and return the JSON that it posts.

    `profile` is an empty folder for the browser. Raises TimeoutError after `timeout` seconds.
    """
    answers: queue.Queue[Any] = queue.Queue()
    with _serving(pages, answers) as port, _browsing(browser, f"http://127.0.0.1:{port}/page.html", profile):
        try:
            return answers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError(f"The page in {browser} posted nothing in {timeout} s") from None


@contextmanager
def _serving(pages: Read, answers: queue.Queue[Any]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages(self.path.lstrip("/"))
            self.send_response(404 if body is None else 200)
            kind = mimetypes.guess_type(self.path)[0]
            self.send_header("Content-Type", kind or "application/octet-stream")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def do_POST(self) -> None:
            answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the tests' output has what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _browsing(browser: Path, address: str, profile: Path) -> Iterator[None]:
    command: list[str | Path] = [
        browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}", address,
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
