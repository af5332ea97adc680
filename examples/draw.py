"""Draws the pictures that the README sends and the web page offers: python examples/draw.py"""

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent
# The image of the API contains no `examples/`, so the page has copies.
PAGE = FOLDER.parent / "api" / "page" / "examples"
SIDE_PIXELS = 320
LAMPS = ((84, "#ff2d1e"), (139, "#503c0a"), (193, "#0a411e"))


def draw_traffic_light() -> Image.Image:
    """Return a red traffic light on a pole before a blue sky, drawn at four times its size for smooth edges."""
    big = Image.new("RGB", (4 * SIDE_PIXELS, 4 * SIDE_PIXELS), "#87beeb")
    pen = ImageDraw.Draw(big)
    pen.rectangle((612, 840, 668, 1280), fill="#46484a")
    pen.rounded_rectangle((486, 224, 794, 884), 50, fill="#181a18", outline="#3c403c", width=14)
    for y, colour in LAMPS:
        pen.pieslice((528, 4 * y - 118, 752, 4 * y + 106), 180, 360, fill="#050505")
        pen.ellipse((550, 4 * y - 90, 730, 4 * y + 90), fill=colour, outline="#080808", width=8)
    return big.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


def draw_clock() -> Image.Image:
    """Return a clock on a wall, at ten past four, drawn in the same way."""
    big = Image.new("RGB", (4 * SIDE_PIXELS, 4 * SIDE_PIXELS), "#dcd2be")
    pen = ImageDraw.Draw(big)
    pen.circle((640, 640), 480, fill="#282828")
    pen.circle((640, 640), 426, fill="white")
    for hour in range(1, 13):
        pen.text(_on_dial(hour / 12, 350), str(hour), fill="black", font_size=80, anchor="mm")
    for share, length, width in ((4.17 / 12, 210, 28), (10 / 60, 300, 20)):
        pen.line((640, 640, *_on_dial(share, length)), fill="black", width=width)
    pen.circle((640, 640), 28, fill="black")
    return big.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


def draw_umbrella() -> Image.Image:
    """Return an open red umbrella, drawn in the same way."""
    big = Image.new("RGB", (4 * SIDE_PIXELS, 4 * SIDE_PIXELS), "#dfe7ee")
    pen = ImageDraw.Draw(big)
    pen.pieslice((160, 240, 1120, 1200), 180, 360, fill="#c62828")
    for left in (160, 480, 800):
        pen.ellipse((left, 640, left + 320, 800), fill="#dfe7ee")
    for half_width in (480, 160):
        pen.arc((640 - half_width, 240, 640 + half_width, 1200), 180, 360, fill="#8e1b1b", width=10)
    pen.line((640, 200, 640, 1040), fill="#3b2a20", width=24)
    pen.arc((628, 960, 780, 1130), 0, 180, fill="#3b2a20", width=24)
    return big.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


def draw_candle() -> Image.Image:
    """Return a burning candle in the dark, drawn in the same way."""
    big = Image.new("RGB", (4 * SIDE_PIXELS, 4 * SIDE_PIXELS), "#1c1410")
    ImageDraw.Draw(big).ellipse((340, 100, 940, 760), fill="#8a4a12")
    big = big.filter(ImageFilter.GaussianBlur(120))
    pen = ImageDraw.Draw(big)
    pen.rounded_rectangle((530, 560, 750, 1180), 20, fill="#efe2c4")
    pen.ellipse((530, 530, 750, 600), fill="#fff3d6")
    pen.line((640, 560, 640, 490), fill="#222222", width=12)
    pen.ellipse((585, 330, 695, 530), fill="#ffb52e")
    pen.polygon((600, 380, 680, 380, 640, 220), fill="#ffb52e")
    pen.ellipse((612, 400, 668, 525), fill="#fff4c4")
    return big.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


def draw_balloon() -> Image.Image:
    """Return a striped hot-air balloon before a blue sky, drawn in the same way."""
    big = Image.new("RGB", (4 * SIDE_PIXELS, 4 * SIDE_PIXELS), "#8fc7f2")
    pen = ImageDraw.Draw(big)
    pen.ellipse((340, 120, 940, 780), fill="#e53935")
    for half_width, colour in ((255, "#fdd835"), (170, "#e53935"), (85, "#fdd835")):
        pen.ellipse((640 - half_width, 120, 640 + half_width, 780), fill=colour)
    pen.polygon((400, 620, 880, 620, 720, 900, 560, 900), fill="#e53935")
    pen.polygon((520, 640, 760, 640, 690, 900, 590, 900), fill="#fdd835")
    for top, bottom in ((570, 590), (710, 690)):
        pen.line((top, 900, bottom, 1000), fill="#4e342e", width=8)
    pen.rounded_rectangle((575, 1000, 705, 1100), 16, fill="#6d4c41")
    return big.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.LANCZOS)


def _on_dial(share: float, radius: float) -> tuple[float, float]:
    return 640 + radius * math.sin(2 * math.pi * share), 640 - radius * math.cos(2 * math.pi * share)


if __name__ == "__main__":
    for draw in (draw_traffic_light, draw_clock, draw_umbrella, draw_candle, draw_balloon):
        picture = draw()
        for folder in (FOLDER, PAGE):
            picture.save(folder / f"{draw.__name__.removeprefix('draw_')}.png", optimize=True)
