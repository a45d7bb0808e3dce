"""The window under Xvfb: what is seen on the screen, and what keys and its closing do."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageGrab

from .support.system import require

ROOT = Path(__file__).parent.parent
COLOR = (200, 30, 90)
# Takes a step for each line of stdin, and answers each with a line; "run" goes on until the window ends it.
CHILD = """
import sys, time
from PIL import Image
from edge_classify.edge.console import Command
from edge_classify.edge.outputs.output import StopRunning
from edge_classify.edge.outputs.window import Window
from tests.support.output_results import answer, failure, live, photo
import click

@click.command(cls=Command)
def main():
    window = Window()
    print("open", flush=True)
    picture = Image.new("RGB", (640, 480), (200, 30, 90))
    steps = {
        "live": lambda: window.show(live(1, answer({"cat": 1.0, "dog": 0.0}), picture=picture)),
        "tall": lambda: window.show(photo("a.png", picture=picture.resize((30, 300)))),
        "lost": lambda: window.show(failure("camera 0", "camera 0 gives no frames")),
        "run": lambda: run(window),
        "wait": lambda: window.wait_for_key(),
        "close": lambda: window.close(),
    }
    for line in sys.stdin:
        try:
            steps[line.strip()]()
            print("done", flush=True)
        except StopRunning:
            print("stopped", flush=True)

def run(window):
    while True:
        window.refresh()
        time.sleep(0.01)

main()
"""
Shown = subprocess.Popen[str]
Screen = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    program = require("Xvfb", "xdotool")
    reading, writing = os.pipe()
    command = [program, "-displayfd", str(writing), "-screen", "0", "900x700x24", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as file:
        number = file.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


@pytest.fixture
def window(display: str) -> Iterator[Shown]:
    child = start({"DISPLAY": display})
    assert answer_of(child) == "open"
    yield child
    assert child.stdin is not None
    child.stdin.close()
    try:
        assert child.wait(30) == 0
    finally:
        child.kill()


def start(environment: dict[str, str]) -> Shown:
    clean = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.Popen(
        [sys.executable, "-c", CHILD], env={**clean, **environment}, cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def step(child: Shown, name: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{name}\n")
    child.stdin.flush()


def answer_of(child: Shown) -> str:
    assert child.stdout is not None
    assert select.select([child.stdout], [], [], 60)[0], "the child says nothing"
    return child.stdout.readline().strip()


def screen_when(display: str, condition: Callable[[Screen], bool]) -> Screen:
    """Wait for the screen to look as it should, and return it as int [height, width, 3]."""
    for _ in range(10):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            screen = np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB")).astype(int)
            if condition(screen):
                return screen
            time.sleep(0.05)
        # On a busy machine one of ten windows of bare OpenCV (5.0, Qt 5.15) is never painted under Xvfb.
        # One that is hidden and shown again is.
        xdotool(display, "search", "--name", "edge-classify", "windowunmap", "windowmap")
    pytest.fail("the screen never looked so")


def of_color(screen: Screen) -> Screen:
    """Return where the picture's own colour is, bool [height, width]."""
    return np.asarray((np.abs(screen - COLOR) <= 2).all(axis=2))


def of_bar(screen: Screen) -> Screen:
    """Return where the bar of the chosen class is, bool [height, width]."""
    return np.asarray((screen[..., 1] > screen[..., 0] + 40) & (screen[..., 1] > screen[..., 2] + 30))


def has_picture(screen: Screen) -> bool:
    return int(of_color(screen).sum()) > 1000


def xdotool(display: str, *arguments: str) -> str:
    command = [require("xdotool"), *arguments]
    return subprocess.run(
        command,
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()


def press(display: str, *keys: str) -> None:
    """Press keys in the window when it is there and has the focus."""
    xdotool(
        display, "search", "--sync", "--onlyvisible", "--name", "edge-classify", "windowfocus", "--sync",
        "key", *keys,
    )  # fmt: skip


def close_window(display: str) -> None:
    """Ask the window to close, as a window manager does for its x."""
    x, xdisplay, event = (import_module(f"Xlib.{name}") for name in ("X", "display", "protocol.event"))
    connection = xdisplay.Display(display)
    window = connection.create_resource_object(
        "window", int(xdotool(display, "search", "--name", "edge-classify"))
    )
    data = (32, [connection.get_atom("WM_DELETE_WINDOW"), x.CurrentTime, 0, 0, 0])
    protocols = connection.get_atom("WM_PROTOCOLS")
    window.send_event(event.ClientMessage(window=window, client_type=protocols, data=data))
    connection.sync()
    connection.close()


def test_window_shows_the_picture_in_its_colours_with_bars_for_its_answers(
    display: str, window: Shown
) -> None:
    step(window, "live")
    assert answer_of(window) == "done"
    step(window, "run")
    screen = screen_when(display, has_picture)
    picture = of_color(screen)
    assert picture[:480, :640].mean() > 0.6 and not picture[490:].any() and not picture[:, 650:].any()
    panel = screen[300:480, :320]
    assert of_bar(panel).any(axis=0).sum() > 250
    assert (panel.min(axis=2) > 200).sum() > 200  # White letters.
    press(display, "q")
    assert answer_of(window) == "stopped"


@pytest.mark.parametrize("key", ["q", "Q", "Escape"])
def test_keys_that_quit_stop_the_run_and_others_do_not(display: str, window: Shown, key: str) -> None:
    step(window, "run")
    press(display, "x", key)
    assert answer_of(window) == "stopped"
    step(window, "wait")  # Who has quit need not press another key.
    assert answer_of(window) == "done"


def test_closing_the_window_stops_the_run(display: str, window: Shown) -> None:
    step(window, "live")
    answer_of(window)
    step(window, "run")
    close_window(display)
    assert answer_of(window) == "stopped"
    step(window, "close")
    assert answer_of(window) == "done"


@pytest.mark.parametrize("end", ["key", "closing"])
def test_last_photo_stays_until_a_key_is_pressed_or_the_window_closed(
    display: str, window: Shown, end: str
) -> None:
    step(window, "tall")
    answer_of(window)
    step(window, "wait")
    columns = of_color(screen_when(display, has_picture)).any(axis=0).sum()
    assert 90 <= columns <= 100  # 30x300 becomes 96x960, the largest that is shown.
    if end == "key":
        press(display, "space")
    else:
        close_window(display)
    assert answer_of(window) == "done"


def test_lost_camera_leaves_the_last_picture_with_the_error_on_it(display: str, window: Shown) -> None:
    for name in ("live", "lost"):
        step(window, name)
        assert answer_of(window) == "done"
    step(window, "run")
    screen = screen_when(display, lambda screen: has_picture(screen) and not of_bar(screen).any())
    assert (screen[450:480, :300].min(axis=2) > 150).sum() > 100  # The letters of the error.
    press(display, "q")
    answer_of(window)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "Error: --show needs a screen, and this session has none"),
        (
            {"DISPLAY": ":77"},
            "Error: --show cannot open a window on DISPLAY=:77: trying it was killed by SIGABRT.",
        ),
    ],
)
def test_machine_without_a_screen_says_so_and_does_not_abort(
    environment: dict[str, str], message: str
) -> None:
    child = start(environment)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "") and err.startswith(message) and err.count("\n") == 1
    assert "--save-annotated DIR" in err


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("raise ModuleNotFoundError('cv2', name='cv2')", 'pip install "opencv-python>='),
        (
            "class error(Exception): pass\ndef setLogLevel(level): pass\n"
            "def destroyAllWindows(): raise error('not implemented')",
            "this OpenCV was built without them. Run: pip uninstall opencv-python-headless",
        ),
    ],
)
def test_opencv_that_is_missing_or_has_no_windows_is_said_with_its_remedy(
    tmp_path: Path, module: str, message: str
) -> None:
    (tmp_path / "cv2.py").write_text(module)
    child = start({"DISPLAY": ":77", "PYTHONPATH": str(tmp_path)})
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "") and message in err and err.count("\n") == 1
