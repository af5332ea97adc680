"""Reads from PNG files what Pillow does not: some first frames of animations, transparent colors of some depths."""

import io
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.images.png_chunks import PNG_SIGNATURE, png_chunks

# Samples per pixel of each color type.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First row and column, and steps, of the seven passes of an interlaced picture.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_PIECE_BYTES = 1024 * 1024
# Length of the content of an fcTL chunk.
_FRAME_BYTES = 26


def header_chunks(data: bytes) -> dict[bytes, memoryview]:
    """Return the first chunk of each name before the pixels."""
    found: dict[bytes, memoryview] = {}
    for chunk in png_chunks(memoryview(data)):
        if chunk.name == b"IDAT":
            break
        found.setdefault(chunk.name, chunk.content)
    return found


@dataclass(frozen=True)
class Frame:
    """The first frame of an animation as a PNG file, and where it lies in the picture."""

    data: bytes
    place: tuple[int, int]
    picture_size: tuple[int, int]

    def on_picture(self, image: Image.Image, white: int) -> Image.Image:
        """Return the decoded frame, L or RGB, in a picture of full size; the rest is transparent, so white."""
        if image.size == self.picture_size:
            return image
        picture = Image.new(image.mode, self.picture_size, white if image.mode == "L" else (white, white, white))
        picture.paste(image, self.place)
        return picture


def first_frame(data: bytes) -> Frame | None:
    """Return the first frame of an animation whose default image (IDAT) is not part of it.

    Browsers show this frame; Pillow returns the default image. None for all other files, and if the animation is
    damaged.
    """
    if not data.startswith(PNG_SIGNATURE):
        return None
    header = header_chunks(data)
    # For a damaged animation, browsers show the default image.
    if len(header.get(b"acTL", b"")) != 8 or b"fcTL" in header or not any(header[b"acTL"][:4]):
        return None
    control, pixels = _first_frame_data(data)
    size = len(header.get(b"IHDR", b"")) == 13 and bytes(header[b"IHDR"][:8])
    if len(control) != _FRAME_BYTES or not pixels or not size:
        return None
    width, height, left, top = (int.from_bytes(control[start : start + 4]) for start in (4, 8, 12, 16))
    picture_size = int.from_bytes(size[:4]), int.from_bytes(size[4:])
    if not (width and height) or left + width > picture_size[0] or top + height > picture_size[1]:
        return None
    own = {name: content for name, content in header.items() if name not in (b"IHDR", b"acTL")}
    parts = [
        _chunk(b"IHDR", bytes(control[4:12]) + bytes(header[b"IHDR"][8:])),
        *(_chunk(name, bytes(content)) for name, content in own.items()),
        _chunk(b"IDAT", pixels),
        _chunk(b"IEND", b""),
    ]
    return Frame(PNG_SIGNATURE + b"".join(parts), (left, top), picture_size)


def _first_frame_data(data: bytes) -> tuple[memoryview, bytes]:
    """Return the first fcTL chunk, and the data of the fdAT chunks after it, without sequence numbers.

    Raises:
        ValueError: the file ends before any data of the frame.
    """
    control, pieces = memoryview(b""), []
    for chunk in png_chunks(memoryview(data)):
        if chunk.name == b"IEND" or (chunk.name == b"fcTL" and control):
            break
        if chunk.name == b"fcTL":
            control = chunk.content
        elif chunk.name == b"fdAT" and control:
            pieces.append(chunk.content[4:])
    else:
        if not pieces:
            raise ValueError("its animation is cut off")
    return control, b"".join(pieces)


def _chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)


def check_rows(image: Image.Image, data: bytes) -> None:
    """Check that a decoded PNG has all its rows: Pillow leaves missing ones black if the compressed data end properly.

    Only if the last row is black, or the picture is interlaced, are the data decompressed again to count them.

    Raises:
        ValueError: rows are missing.
    """
    width, height = image.size
    header = header_chunks(data)[b"IHDR"]
    is_interlaced = header[12] != 0
    if not is_interlaced and np.asarray(image.crop((0, height - 1, width, height))).any():
        return
    bits = header[8] * _SAMPLES[header[9]]
    wanted = sum(
        rows * (1 + (columns * bits + 7) // 8)
        for rows, columns in (_pass_sizes(width, height) if is_interlaced else [(height, width)])
        if columns
    )
    if _unpacked_bytes(data, wanted) < wanted:
        raise ValueError("rows of its pixels are missing")


def _pass_sizes(width: int, height: int) -> list[tuple[int, int]]:
    return [
        (len(range(top, height, row_step)), len(range(left, width, column_step)))
        for top, left, row_step, column_step in _PASSES
    ]


def _unpacked_bytes(data: bytes, most: int) -> int:
    """Return how many bytes the pixels have once decompressed; may stop counting at `most`."""
    decompressor = zlib.decompressobj()
    count = 0
    for chunk in png_chunks(memoryview(data)):
        packed = bytes(chunk.content) if chunk.name == b"IDAT" else b""
        while packed and count < most:
            count += len(decompressor.decompress(packed, _PIECE_BYTES))
            packed = decompressor.unconsumed_tail
    return count


def transparent_pixels(image: Image.Image, data: bytes) -> NDArray[np.bool_] | None:
    """Return which pixels of a decoded PNG have its transparent color, for the depths at which Pillow does not find it.

    Pillow compares pixels scaled to 8 bits with a color in the depth of the file. None for all other pictures.
    """
    if image.format != "PNG" or "transparency" not in image.info:
        return None
    header = header_chunks(data)
    depth, color = header[b"IHDR"][8], header.get(b"tRNS", memoryview(b""))
    if image.mode == "RGB" and depth == 16 and len(color) >= 6:
        bands = (*image.split(), *_low_halves(data).split())
        values = (*color[0:6:2], *color[1:6:2])
        equal = [np.asarray(band) == value for band, value in zip(bands, values, strict=True)]
        return np.asarray(np.logical_and.reduce(equal))
    if image.mode == "I;16" and len(color) >= 2:
        return np.asarray(np.asarray(image) == int.from_bytes(color[:2]))
    if image.mode == "L" and depth in (2, 4) and len(color) >= 2:
        largest = 2**depth - 1
        return np.asarray(np.asarray(image) == (color[1] & largest) * (255 // largest))
    return None


def _low_halves(data: bytes) -> Image.Image:
    """Return the lower bytes of 16-bit colors; Pillow returns the upper ones."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        # Pillow keeps the upper byte. Read as little-endian, that is the lower byte of the big-endian number.
        image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
        image.load()
        return image
