"""Writes ICC profiles: primaries and an exponent, code points, and broken ones."""

import struct

import numpy as np

# Chromaticities of red, green and blue in the profiles below, adapted to D50 as ICC profiles are.
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
ADOBE_RGB = ((0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446))
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
D50 = (0.9642, 1.0, 0.8249)

Colorants = tuple[tuple[float, float, float], ...]


def rgb_profile(colorants: Colorants, exponent: float, **more: bytes) -> bytes:
    """Return an RGB profile; `more` are further tags by name."""
    columns = {name: _xyz(value) for name, value in zip(("rXYZ", "gXYZ", "bXYZ"), colorants, strict=True)}
    return icc_profile(b"RGB ", columns | dict.fromkeys(("rTRC", "gTRC", "bTRC"), gamma_curve(exponent)) | more)


def grey_profile(exponent: float) -> bytes:
    """Return a profile of greys."""
    return icc_profile(b"GRAY", {"kTRC": gamma_curve(exponent)})


def code_point_tag(primaries: int, transfer: int) -> bytes:
    """Return the content of a tag "cicp"."""
    return b"cicp" + bytes(4) + bytes((primaries, transfer, 0, 1))


def gamma_curve(exponent: float) -> bytes:
    """Return the content of a tag with a curve."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256))


def lut_tag(table: bytes, points: int) -> bytes:
    """Return the content of a tag with a table of `points` per side, 16 bits each, to Lab."""
    head = b"mft2" + bytes(4) + bytes((3, 3, points, 0))
    matrix = struct.pack(">9i", *(65536 * each for each in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    curves = struct.pack(">HH", 2, 2)
    return head + matrix + curves + struct.pack(">6H", *[0, 65535] * 3) + table + struct.pack(">6H", *[0, 65535] * 3)


def icc_profile(space: bytes, tags: dict[str, bytes]) -> bytes:
    """Return a profile for screens with these tags."""
    tags = {"desc": _text("a test"), "cprt": b"text" + bytes(4) + b"none\0", "wtpt": _xyz(D50)} | tags
    listed, content, start = b"", b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        padded = tag + bytes(-len(tag) % 4)
        listed += struct.pack(">4sII", name.encode(), start + len(content), len(tag))
        content += padded
    size = start + len(content)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _numbers(D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + listed + content


def _text(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(encoded)) + encoded + bytes(78)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + _numbers(values)


def _numbers(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(float(np.float64(value)) * 65536)) for value in values)
