"""Draws the pictures that the README sends: python examples/draw.py"""

import math
from pathlib import Path

from PIL import Image, ImageDraw

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


def _on_dial(share: float, radius: float) -> tuple[float, float]:
    return 640 + radius * math.sin(2 * math.pi * share), 640 - radius * math.cos(2 * math.pi * share)


if __name__ == "__main__":
    for draw in (draw_traffic_light, draw_clock):
        draw().save(Path(__file__).with_name(f"{draw.__name__.removeprefix('draw_')}.png"), optimize=True)
