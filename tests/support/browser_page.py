"""A page in headless Chromium, driven by the DevTools protocol over pipes, without a port."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Widths in px of a phone and a desk, and whether colours are dark.
SCREENS = ((390, False), (390, True), (1280, False), (1280, True))
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class BrowserPage:
    """An open page; `events` are the browser's messages so far, (method, parameters)."""

    to_browser: int
    from_browser: int
    timeout: float
    session: str | None = None
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _sent: int = 0
    _received: bytes = b""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command. Raises AssertionError where the answer is an error."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def evaluate(self, expression: str, wait: bool = False) -> Any:
        """Return the value of a JavaScript expression; `wait`: of a promise, what it is kept by.

        Raises AssertionError where it throws.
        """
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=wait)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def set_screen(self, width: int, height: int = 800, dark: bool = False, scale: float = 1.0) -> None:
        """Show pages on a screen of this many px of the style sheet, in dark or in light colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
            mobile=width < 600,
        )  # fmt: skip
        colours = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[colours])

    def open(self, place: Path | str) -> None:
        """Load a file, or an address, and wait until the page is complete."""
        self.events.clear()
        address = place.resolve().as_uri() if isinstance(place, Path) else place
        self.call("Page.navigate", url=address)
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._read()

    def picture(self, left: float, top: float, width: float, height: float) -> bytes:
        """Return a part of the page, in px from its upper left corner, as a PNG."""
        part = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        answer = self.call("Page.captureScreenshot", format="png", clip=part, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def parameters_of(self, *methods: str) -> list[dict[str, Any]]:
        """Return the parameters of the events of these kinds."""
        return [parameters for method, parameters in self.events if method in methods]

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + self.timeout
        while b"\0" not in self._received:
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self.from_browser, 1 << 20) if ready else b""
            if not more:
                raise TimeoutError(f"Chromium sent nothing within {self.timeout} s, or has ended")
            self._received += more
        line, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append((message["method"], message["params"]))
        return message


@contextmanager
def browsing(browser: str, profile: Path, timeout: float = 60.0) -> Iterator[BrowserPage]:
    """Start `browser` with an empty page; `profile` is an empty folder for it."""
    their_input, our_output = os.pipe()
    our_input, their_output = os.pipe()
    # The protocol is spoken on the descriptors 3 and 4.
    shell = f'exec "$@" 3<&{their_input} 4>&{their_output}'
    command = ["bash", "-c", shell, "bash", browser, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    child = subprocess.Popen(
        command, pass_fds=(their_input, their_output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(their_input)
    os.close(their_output)
    try:
        page = BrowserPage(our_output, our_input, timeout)
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        yield page
    finally:
        os.close(our_output)
        os.close(our_input)
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
