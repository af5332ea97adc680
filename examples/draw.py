"""Draws examples/traffic_light.png, the picture the README sends: python examples/draw.py"""

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


if __name__ == "__main__":
    draw_traffic_light().save(Path(__file__).with_name("traffic_light.png"), optimize=True)
