"""Fonts for labels in any script, from those that the machine has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Fonts of Debian and Raspberry Pi OS, macOS and Windows; Pillow searches the system's folders.
_NAMES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "segoeui.ttf",
    "Arial.ttf",
    # Chinese, Japanese and Korean, which the others lack.
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "msyh.ttc",
    "malgun.ttf",
)
_NO_CHARACTER = "\U0010ffff"  # Never assigned: every font draws its sign for a missing glyph.
_LONGEST = 200  # Characters of a label that are used; no panel is wide enough for more.


@dataclass(frozen=True)
class Lettering:
    """A text, cut to the width that was asked for, and a font that can show it.

    `width` and `height` are in pixels; `height` is that of a line, the same for all texts of the font.
    """

    text: str
    font: Font
    width: int
    height: int


@lru_cache(maxsize=1024)
def letter(text: str, size: int, width: int) -> Lettering:
    """Choose the font for printable text and cut the text with an ellipsis to `width` pixels; never raises.

    `size` is the font's size in pixels. Where there is no FreeType font, Pillow's bitmap font of 11 pixels is
    used, and letters beyond Latin-1 become question marks.
    """
    font = _font_for(text[:_LONGEST], size)
    ellipsis = "…"
    if not isinstance(font, ImageFont.FreeTypeFont):
        text, ellipsis = text.encode("latin-1", "replace").decode("latin-1"), "..."
    text = _shorten(text, ellipsis, font, width)
    return Lettering(text, font, round(font.getlength(text)), round(font.getbbox("Ág")[3]))


def is_bitmap(size: int) -> bool:
    """Return whether only Pillow's bitmap font is available, which has one size."""
    return not isinstance(_font_for("", size), ImageFont.FreeTypeFont)


def _shorten(text: str, ellipsis: str, font: Font, width: int) -> str:
    if len(text) <= _LONGEST and font.getlength(text) <= width:
        return text
    fits, too_long = 0, min(len(text), _LONGEST) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if font.getlength(text[:middle].rstrip() + ellipsis) <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + ellipsis


@lru_cache(maxsize=4096)
def _font_for(text: str, size: int) -> Font:
    """Return the first font that has every letter, or else the first font."""
    first: ImageFont.FreeTypeFont | None = None
    for name in _NAMES:
        font = _load(name, size, text.isascii())
        if font is not None and _has_letters(font, text):
            return font
        first = first or font
    return first or _built_in(size)


@lru_cache(maxsize=64)
def _load(name: str, size: int, simple: bool) -> ImageFont.FreeTypeFont | None:
    # ASCII needs no joined or reversed letters, which take several times as long.
    engine = ImageFont.Layout.BASIC if simple else None
    try:
        return ImageFont.truetype(name, size, layout_engine=engine)
    except (OSError, ImportError):  # The font is missing or damaged, or Pillow lacks FreeType.
        return None


def _has_letters(font: ImageFont.FreeTypeFont, text: str) -> bool:
    if text.isascii():
        return True
    missing = bytes(font.getmask(_NO_CHARACTER))
    return all(bytes(font.getmask(c)) != missing for c in set(text) if not c.isspace())


def _built_in(size: int) -> Font:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow older than 10.1 has only the bitmap font.
        return ImageFont.load_default()
