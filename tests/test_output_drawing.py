from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.answers.result import Answer
from edge_classify.edge.classifier import Doubt
from edge_classify.edge.outputs import fonts
from edge_classify.edge.outputs.drawing import draw_answers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from .support.output_results import answer

Pixels = np.ndarray[Any, np.dtype[np.int16]]


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without fonts and a Pillow older than 10.1, which brings only its bitmap font."""

    def load_default(size: float | None = None) -> ImageFont.ImageFont:
        if size is not None:
            raise TypeError("load_default() takes 0 positional arguments but 1 was given")
        return ImageFont.load_default_imagefont()

    monkeypatch.setattr(fonts, "_NAMES", ())
    monkeypatch.setattr(ImageFont, "load_default", load_default)
    forget()
    yield
    forget()


def forget() -> None:
    """Empty what remembers fonts."""
    fonts.letter.cache_clear()
    fonts._font_for.cache_clear()


def change(size: tuple[int, int], *answers: Answer, note: str = "") -> Pixels:
    """Return by how much each pixel of a grey picture of (width, height) was changed, [height, width]."""
    image = Image.new("RGB", size, (200, 200, 200))
    drawn = draw_answers(image, answers, note)
    assert drawn.size == size and drawn.mode == "RGB"
    assert (np.asarray(image) == 200).all()  # It is drawn on a copy.
    return np.asarray(np.abs(np.asarray(drawn).astype(np.int16) - 200).max(axis=2))


def green(size: tuple[int, int], *answers: Answer) -> int:
    """Return how many columns the bar of the chosen class is wide."""
    drawn = np.asarray(draw_answers(Image.new("RGB", size, "white"), answers)).astype(int)
    is_green = (drawn[..., 1] > drawn[..., 0] + 40) & (drawn[..., 1] > drawn[..., 2] + 30)
    return int(is_green.any(axis=0).sum())


@pytest.mark.parametrize("size", [(96, 96), (640, 480), (4000, 3000)])
def test_panel_lies_at_the_lower_left_and_grows_with_the_picture(size: tuple[int, int]) -> None:
    changed = change(size, answer())
    width, height = size
    assert not changed[: height // 3].any() and changed[-1].any() and changed[:, 0].any()
    rows = changed.any(axis=1).sum()
    assert max(36, height * 0.15) <= rows <= height * 0.65
    if width > 96:
        assert not changed[:, width * 3 // 4 :].any()
    # White letters: something bright on the dark panel, at least six pixels high.
    letters = np.asarray(draw_answers(Image.new("RGB", size), [answer()])).min(axis=2) > 200
    assert letters.any(axis=1).sum() >= 6 * 3 - 4


def test_bar_is_as_long_as_the_class_is_probable() -> None:
    certain, half = green((640, 480), answer({"a": 1.0})), green((640, 480), answer({"a": 0.5}))
    assert certain > 250 and half == pytest.approx(certain / 2, abs=3)


@pytest.mark.parametrize("doubt", Doubt)
def test_unsure_and_unknown_have_no_green_bar_and_stand_before_the_guesses(doubt: Doubt) -> None:
    sure, doubtful = answer({"a": 0.5}), answer({"a": 0.5}, doubt)
    assert green((640, 480), doubtful) == 0
    rows = [change((640, 480), each).any(axis=1).sum() for each in (sure, doubtful)]
    assert rows[1] > rows[0]


def test_several_models_and_a_note_take_lines_of_their_own() -> None:
    one = change((640, 480), answer({"a": 1.0})).any(axis=1).sum()
    both = change((640, 480), answer({"a": 1.0}), answer({"b": 1.0}), note="24.9 frames/s").any(axis=1).sum()
    assert both == pytest.approx(5 * one, rel=0.2)


def test_what_has_no_room_is_left_out_but_each_model_keeps_its_answer() -> None:
    many = {f"class {number}": 0.5 - number / 100 for number in range(40)}
    changed = change((300, 200), answer(many), answer(many))
    assert changed.any(axis=1).sum() <= 0.65 * 200
    assert green((300, 200), answer(many)) > 0


def test_letters_that_the_first_font_lacks_come_from_another_that_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("LiberationSans-Regular.ttf", "DejaVuSans.ttf")
    if not all(fonts._load(name, 20, simple=True) for name in names):
        pytest.skip("the fonts Liberation and DejaVu are not both installed")
    monkeypatch.setattr(fonts, "_NAMES", names)
    forget()
    texts = [fonts.letter(text, 20, 500) for text in ("plain", "☂ umbrella")]
    forget()
    found = [text.font.getname()[0] for text in texts if isinstance(text.font, ImageFont.FreeTypeFont)]
    assert found == ["Liberation Sans", "DejaVu Sans"]


def test_long_text_is_cut_with_an_ellipsis_to_the_width() -> None:
    cut = fonts.letter("a label " * 30, 20, 150)
    assert cut.text.endswith("…") and 120 < cut.width <= 150
    assert fonts.letter("short", 20, 150).text == "short"


def test_without_fonts_letters_of_the_bitmap_font_grow_by_whole_factors(no_fonts: None) -> None:
    assert fonts.is_bitmap(20) and fonts.letter("猫 ü" + "x" * 99, 20, 60).text.startswith("? ü")
    small, large = (change(size, answer({"猫": 0.9})) for size in ((96, 96), (1920, 1440)))
    assert large.any(axis=1).sum() > 4 * small.any(axis=1).sum()
    # Each pixel of a letter is a block.
    assert (large[1440 % 5 :: 5] == large[1440 % 5 + 4 :: 5]).all()


texts = st.text(st.characters(), max_size=300)
sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))


@settings(max_examples=150)
@given(
    st.dictionaries(texts, st.floats(-1, 2), min_size=1, max_size=4),
    texts,
    st.sampled_from((None, *Doubt)),
    texts,
    sizes,
)
def test_any_text_is_drawn_on_any_picture(
    scores: dict[str, float], model: str, doubt: Doubt | None, note: str, size: tuple[int, int]
) -> None:
    drawn = answer(scores, doubt, model)
    change(size, drawn, drawn, note=note)


@given(texts, sizes)
def test_any_text_is_drawn_without_fonts(text: str, size: tuple[int, int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fonts, "_font_for", lambda text, size: ImageFont.load_default_imagefont())
        fonts.letter.cache_clear()
        change(size, answer({text: 0.5}), note=text)
    fonts.letter.cache_clear()
