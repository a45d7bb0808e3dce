from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from edge_classify.convert.repair.plot import plot_errors
from edge_classify.convert.repair.view import print_report
from PIL import Image

from .support.repair_reports import make_report

HOSTILE = "$\\frac{$ 中文 [bold]\x07\x1b[31m" + "x" * 300


def colour_count(png: bytes, colour: tuple[int, int, int]) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int((np.abs(pixels - colour).max(-1) < 12).sum())


def test_guilty_layers_and_what_stays_float_are_marked() -> None:
    red, blue = (0xCF, 0x22, 0x2E), (0x05, 0x50, 0xAE)
    sick, healthy = make_report(), replace(make_report(guilty=0), worst_channels=(1.0, 1.1))
    assert colour_count(plot_errors(sick), red) > 3 * colour_count(plot_errors(healthy), red)
    assert colour_count(plot_errors(sick), blue) > 50
    assert colour_count(plot_errors(replace(sick, chosen=None)), blue) == 0


def test_plot_of_hostile_names_is_drawn_without_warnings(recwarn: Any) -> None:
    png = plot_errors(make_report(name=HOSTILE))
    assert png.startswith(b"\x89PNG") and min(Image.open(io.BytesIO(png)).size) > 300
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


def test_plot_of_hundreds_of_layers_or_of_one_is_drawn() -> None:
    for layers, guilty in ((300, 100), (1, 1), (1, 0)):
        assert plot_errors(make_report(layers, guilty)).startswith(b"\x89PNG")


def test_plot_of_channels_that_are_all_constant_is_drawn() -> None:
    assert plot_errors(replace(make_report(), worst_channels=(0.0, 0.0))).startswith(b"\x89PNG")


def test_same_report_gives_the_same_picture() -> None:
    assert plot_errors(make_report()) == plot_errors(make_report())


def test_plot_of_no_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer"):
        plot_errors(replace(make_report(), diagnosis=()))


def test_report_of_hostile_names_sends_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(make_report(name=HOSTILE))
    text = capsys.readouterr().out
    assert "\x07" not in text and "\x1b" not in text and "[bold]" in text
