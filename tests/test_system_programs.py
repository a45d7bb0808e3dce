"""Without a program of the system, tests that need it are skipped as a whole; in CI they fail by its name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Tests, and the program without which each is skipped; some need it only in their middle.
NEED = {
    "test_output_window.py::test_closing_the_window_stops_the_run": "xdotool",
    "test_output_window.py::test_lost_camera_leaves_the_last_picture_with_the_error_on_it": "Xvfb",
    "test_devices_failures.py::test_changed_host_key_is_refused_and_its_line_named": "ssh-keygen",
    "test_network_mqtt.py::test_right_password_is_accepted": "mosquitto_passwd",
    "test_live_http.py::test_certificate_that_nobody_signed_is_refused_until_it_is_named": "openssl",
    "test_live_rtsp.py::test_rtsp_camera_shows_the_present_and_is_back_after_a_power_cut": "gst-inspect-1.0",
    "test_benchmark_report.py::test_report_in_a_browser_sorts_asks_for_nothing_and_fits_a_phone": "chromium",
    "test_disk_arrays.py::test_disk_that_really_fills_up_ends_in_one_sentence_and_leaves_nothing": "mount",
}
# Runs pytest on a machine without the programs.
WITHOUT = """
import shutil, sys, pytest
hidden, find = set(sys.argv[1].split(",")), shutil.which
shutil.which = lambda name, *rest, **named: None if name in hidden else find(name, *rest, **named)
sys.exit(pytest.main(sys.argv[2:]))
"""


def run_without(programs: set[str], tests: list[str], in_ci: bool) -> str:
    """Return what pytest prints about tests on a machine that lacks these programs."""
    variable = "EDGE_CLASSIFY_REQUIRE_SYSTEM"
    environment = {key: value for key, value in os.environ.items() if key != variable}
    command = [sys.executable, "-c", WITHOUT, ",".join(programs), "-p", "no:cacheprovider", "-q", "-rsfE"]
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=ROOT,
        env=environment | ({variable: "1"} if in_ci else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.stdout


def test_tests_whose_programs_lack_are_skipped_as_a_whole_with_the_reason() -> None:
    text = run_without(set(NEED.values()), list(NEED), in_ci=False)
    assert re.search(rf"^{len(NEED)} skipped in", text, re.MULTILINE), text
    for program in set(NEED.values()) - {"Xvfb", "xdotool"}:
        assert f"{program} is not installed" in text
    assert "Xvfb is not installed" in text


def test_tests_of_a_program_that_lacks_in_the_middle_are_skipped_before_they_start_anything() -> None:
    tests = [test for test in NEED if test.startswith("test_output_window.py")]
    text = run_without({"xdotool"}, tests, in_ci=False)
    assert re.search(r"^2 skipped in", text, re.MULTILINE), text
    assert "xdotool is not installed" in text


def test_tests_whose_programs_lack_fail_in_ci_with_the_reason() -> None:
    text = run_without(set(NEED.values()), list(NEED), in_ci=True)
    assert not re.search(r"\d (passed|skipped)", text), text
    for program in set(NEED.values()) - {"Xvfb", "xdotool"}:
        assert f"{program} is not installed, and EDGE_CLASSIFY_REQUIRE_SYSTEM is set" in text
