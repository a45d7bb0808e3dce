"""Drawn pictures of things of a kitchen: what the manual's commands train on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Paint = Callable[[ImageDraw.ImageDraw, random.Random, Color], None]
_CANVAS = 288  # Drawn large and shrunk, so that edges are smooth.


def draw_thing(name: str, seed: str, size: int = 96) -> Image.Image:
    """Return a picture of one of THINGS, with place, angle, size, colours and light by the seed.

    The same seed draws the same picture.
    """
    chance = random.Random(f"{name} {seed}")
    back, color = _two_colors(chance)
    picture = Image.new("RGBA", (_CANVAS, _CANVAS))
    THINGS[name](ImageDraw.Draw(picture), chance, color)
    turn = chance.uniform(-70, 70) if name in ("spoon", "fork") else chance.uniform(-15, 15)
    scale = chance.uniform(0.7, 1.0)
    picture = picture.rotate(turn, Image.Resampling.BICUBIC)
    small = picture.resize((round(_CANVAS * scale),) * 2, Image.Resampling.LANCZOS)
    if chance.random() < 0.5:
        small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    table = _table(chance, back)
    room = _CANVAS - small.width
    at = (round(room * chance.uniform(0.15, 0.85)), round(room * chance.uniform(0.15, 0.85)))
    shadow = Image.new("RGBA", small.size, (0, 0, 0, 0))
    shadow.putalpha(small.getchannel("A").point(lambda alpha: alpha * 2 // 5))
    soft = shadow.filter(ImageFilter.GaussianBlur(6))
    table.paste(soft, (at[0] + 6, at[1] + 9), soft)
    table.paste(small, at, small)
    return _as_photo(table.convert("RGB"), chance, size)


def _two_colors(chance: random.Random) -> tuple[Color, Color]:
    """Return a light colour for the table, and a darker one for the thing."""
    grey, warm = chance.randint(190, 240), chance.randint(0, 40)
    color = chance.randint(20, 190), chance.randint(20, 150), chance.randint(20, 190)
    return (grey, grey - warm // 3, grey - warm), color


def _table(chance: random.Random, color: Color) -> Image.Image:
    """Return a background: one colour, light from a side, stripes or checks on some."""
    rows, columns = np.mgrid[0:_CANVAS, 0:_CANVAS] / _CANVAS
    angle = chance.uniform(0, 2 * math.pi)
    light = 1 + chance.uniform(0.1, 0.35) * (
        math.cos(angle) * (rows - 0.5) + math.sin(angle) * (columns - 0.5)
    )
    pattern, width = chance.random(), chance.randint(14, 40)
    if pattern < 0.25:
        light = light * np.where((columns * _CANVAS // width) % 2, 0.9, 1.0)
    elif pattern < 0.5:
        light = light * np.where((columns * _CANVAS // width + rows * _CANVAS // width) % 2, 0.9, 1.0)
    pixels = np.clip(light[..., None] * np.array(color), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8)).convert("RGBA")


def _as_photo(picture: Image.Image, chance: random.Random, size: int) -> Image.Image:
    """Return it smaller, with the noise, the softness and the exposure of a simple camera."""
    soft = picture.filter(ImageFilter.GaussianBlur(chance.uniform(0.5, 3.5)))
    pixels = np.asarray(soft.resize((size, size), Image.Resampling.LANCZOS), dtype=np.float64)
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0, chance.uniform(2, 10), pixels.shape)
    return Image.fromarray(np.clip(pixels * chance.uniform(0.7, 1.2) + noise, 0, 255).astype(np.uint8))


def _shade(color: Color, factor: float) -> Color:
    red, green, blue = (max(0, min(255, round(value * factor))) for value in color)
    return red, green, blue


def _mug(draw: ImageDraw.ImageDraw, chance: random.Random, color: Color) -> None:
    half, height = chance.randint(52, 72), chance.randint(110, 150)
    left, right, top = 135 - half, 135 + half, 144 - height // 2
    bottom, rim = top + height, chance.randint(12, 22)
    handle = (right - 24, top + height * 0.2, right + 46, top + height * 0.78)
    draw.ellipse(handle, outline=_shade(color, 0.85), width=14)
    draw.rounded_rectangle((left, top, right, bottom), 22, fill=color)
    draw.rectangle((left, top, left + half // 3, bottom - 22), fill=_shade(color, 1.15))
    draw.ellipse((left, top - rim, right, top + rim), fill=_shade(color, 0.92))
    inside = chance.choice([(60, 38, 24), (150, 90, 40), _shade(color, 0.6)])
    draw.ellipse((left + 9, top - rim + 6, right - 9, top + rim - 4), fill=inside)


def _plate(draw: ImageDraw.ImageDraw, chance: random.Random, color: Color) -> None:
    wide = chance.randint(96, 118)
    high = round(wide * chance.uniform(0.5, 1.0))
    for share, light in ((1.0, 1.0), (0.93, 1.1), (0.68, 0.85), (0.64, 1.04)):
        box = (144 - wide * share, 144 - high * share, 144 + wide * share, 144 + high * share)
        draw.ellipse(box, fill=_shade(color, light))


def _spoon(draw: ImageDraw.ImageDraw, chance: random.Random, color: Color) -> None:
    half, length, width = chance.randint(26, 38), chance.randint(36, 52), chance.randint(6, 10)
    draw.polygon(
        [(144 - width * 0.6, 90), (144 + width * 0.6, 90), (144 + width, 262), (144 - width, 262)], fill=color
    )
    draw.ellipse((144 - width, 254, 144 + width, 270), fill=color)
    draw.ellipse((144 - half, 72 - length, 144 + half, 72 + length), fill=color)
    draw.ellipse(
        (144 - half * 0.75, 72 - length * 0.8, 144 + half * 0.75, 72 + length * 0.8), fill=_shade(color, 0.78)
    )


def _fork(draw: ImageDraw.ImageDraw, chance: random.Random, color: Color) -> None:
    width = chance.randint(6, 9)
    draw.rectangle((144 - width, 110, 144 + width, 262), fill=color)
    draw.rounded_rectangle((116, 84, 172, 120), 16, fill=color)
    for left in (116, 135, 154):
        draw.rounded_rectangle((left, 20, left + 12, 100), 6, fill=color)


# The classes of the example, and one that it has not.
THINGS: dict[str, Paint] = {"mug": _mug, "plate": _plate, "spoon": _spoon, "fork": _fork}
CLASSES = ("mug", "plate", "spoon")
