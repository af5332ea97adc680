"""A drawing in SVG: bars, lines and text on white."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

Point = tuple[float, float]

INK = "#24292f"
GRAY = "#57606a"
PALE = "#d0d7de"
FONT = "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\""


class Drawing:
    """Collects shapes; all positions are in pixels from the upper left corner."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """`title` is what a screen reader says."""
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" {FONT} font-size="13">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        ]

    def bar(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Draw a filled rectangle."""
        self._parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>')

    def line(self, points: Sequence[Point], color: str = PALE, width: float = 1, dash: str = "") -> None:
        """Draw a line through the points; `dash` is an SVG dash pattern, such as "4 3"."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="{width}"{dashes}/>')

    def curve(self, points: Sequence[Point], color: str) -> None:
        """Draw a line through measured values, with a dot for each."""
        self.line(points, color, 2)
        self._parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points]

    def text(self, x: float, y: float, words: str, anchor: str = "start", color: str = INK, bold: bool = False) -> None:
        """Write words whose baseline is at y; `anchor` is start, middle or end."""
        weight = ' font-weight="600"' if bold else ""
        # A white outline keeps them readable where they cross a line.
        outline = 'stroke="#ffffff" stroke-width="4" paint-order="stroke"'
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self._parts.append(f'<text {place} fill="{color}" {outline}{weight}>{escape(words)}</text>')

    def legend(self, x: float, y: float, names: Sequence[tuple[str, str]]) -> None:
        """Write each name after a square of its color, in a row."""
        for name, color in names:
            self.bar(x, y - 10, 11, 11, color)
            self.text(x + 16, y, name)
            x += 40 + 7 * len(name)

    def render(self) -> str:
        """Return the file."""
        return "\n".join([*self._parts, "</svg>", ""])
