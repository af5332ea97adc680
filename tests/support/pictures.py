"""Real pictures that come with scikit-image, variants of them, and one picture in every format there is."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageDraw, ImageOps
from PIL.PngImagePlugin import PngInfo

from tests.support.tiffs import Layout, write_tiff

Transpose = Image.Transpose

# Photographs and scans whose files lie inside the package: nothing is downloaded.
PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "page.png", "retina.jpg", "rocket.jpg", "text.png"),
)

# Our own drawing, and the same as HEIC: no library here writes that format.
TRAFFIC_LIGHT = Path(__file__).parents[2] / "examples" / "traffic_light.png"
TRAFFIC_LIGHT_HEIC = Path(__file__).parents[1] / "data" / "traffic_light.heic"

# How an upright picture has to be stored under an EXIF orientation.
_STORED = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Sample:
    """An encoded picture without EXIF rotation, transparency or 16 bits."""

    name: str
    data: bytes


def photograph(name: str) -> Image.Image:
    """Return one of PHOTOGRAPHS as RGB."""
    with Image.open(io.BytesIO(_packaged(name))) as image:
        return image.convert("RGB")


def corpus() -> Iterator[Sample]:
    """Yield every photograph as packaged, mirrored, cropped, small and large; every fourth of 12 megapixels too."""
    for number, name in enumerate(PHOTOGRAPHS):
        image = photograph(name)
        width, height = image.size
        centre = image.crop((width // 6, height // 6, width * 5 // 6, height * 5 // 6))
        yield Sample(name, _packaged(name))
        yield Sample(f"{name}, mirrored, JPEG 75", encode(ImageOps.mirror(image), "JPEG", quality=75))
        yield Sample(f"{name}, cropped, WebP", encode(centre, "WEBP", quality=80))
        yield Sample(f"{name}, small, GIF", encode(image.resize((160, 120)), "GIF"))
        yield Sample(f"{name}, 1920 x 1080, JPEG 85", encode(enlarged(image, 1920, 1080), "JPEG", quality=85))
        if number % 4 == 0:
            large = enlarged(image, 4000, 3000)
            yield Sample(f"{name}, 4000 x 3000, JPEG 90", encode(large, "JPEG", quality=90, subsampling=0))
            yield Sample(f"{name}, 4000 x 3000, TIFF", encode(large, "TIFF"))


def enlarged(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the picture larger and with the grain of a camera, so that it is not smoother than a real one."""
    values = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = np.random.default_rng(0).integers(-8, 9, size=(height, width, 1), dtype=np.int16)
    return Image.fromarray(np.clip(values + grain, 0, 255).astype(np.uint8))


def encode(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """Return the bytes of a file in Pillow's format `format_name`."""
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def encode_turned(image: Image.Image, orientation: int, format_name: str, **options: Any) -> bytes:
    """Return a file that shows `image` once its EXIF orientation (1 to 8) is applied."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = image.transpose(_STORED[orientation]) if orientation in _STORED else image
    return encode(stored, format_name, exif=exif, **options)


def encode_animation(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """Return a file whose first frame is `image` and whose second one is its negative."""
    negative = ImageChops.invert(image)
    return encode(image, format_name, save_all=True, append_images=[negative], **options)


def encode_ycck(image: Image.Image) -> bytes:
    """Return a CMYK JPEG as Photoshop writes it: its inks are stored inverted and as YCbCr, which Pillow only reads."""
    cyan, magenta, yellow, black = image.convert("CMYK").split()
    inks = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr")
    # Pillow inverts what it writes and calls it plain CMYK: transform 0 at the end of the Adobe segment.
    stored = Image.merge("CMYK", (*(ImageChops.invert(band) for band in inks.split()), black))
    data = bytearray(encode(stored, "JPEG", quality=90))
    data[data.index(b"\xff\xee\x00\x0eAdobe") + 15] = 2
    return bytes(data)


def encode_interlaced_png(image: Image.Image) -> bytes:
    """Return an RGB PNG in Adam7 order, which Pillow reads but does not write (PNG specification, 8.2)."""
    pixels = np.asarray(image.convert("RGB"))
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(_png_rows(pixels[y::dy, x::dx]) for x, y, dx, dy in passes)
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Return one chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_transparent_corners(image: Image.Image) -> Image.Image:
    """Return the picture as RGBA in an ellipse of its own; the corners are transparent."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((-40, -40, image.width + 40, image.height + 40), fill=255)
    cut = image.convert("RGBA")
    cut.putalpha(mask)
    return cut


def sixteen_bits(image: Image.Image, byte_order: str = "<") -> Image.Image:
    """Return the picture in 16-bit grey."""
    return Image.fromarray((_grey(image) * 257).astype(f"{byte_order}u2"))


def _png_rows(pixels: NDArray[np.uint8]) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels) if pixels.size else b""


def _much_text() -> PngInfo:
    text = PngInfo()
    text.add_text("k", "x" * 3_000_000, zip=True)
    return text


def _grey(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image.convert("L"), dtype=np.float32)


def _packaged(name: str) -> bytes:
    return (files("skimage") / "data" / name).read_bytes()


# Every kind of file that is accepted, but HEIC: an RGB picture in, a file out.
KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG, RGB": lambda image: encode(image, "JPEG", quality=90),
    "JPEG, grey": lambda image: encode(image.convert("L"), "JPEG", quality=90),
    "JPEG, CMYK": lambda image: encode(image.convert("CMYK"), "JPEG", quality=90),
    "JPEG, CMYK of Photoshop": encode_ycck,
    "JPEG, progressive": lambda image: encode(image, "JPEG", quality=90, progressive=True),
    "JPEG, EXIF-rotated": lambda image: encode_turned(image, 6, "JPEG", quality=90),
    "JPEG, several pictures": lambda image: encode_animation(image, "MPO", quality=90),
    "PNG, RGB": lambda image: encode(image, "PNG"),
    "PNG, RGBA": lambda image: encode(with_transparent_corners(image), "PNG"),
    "PNG, grey with alpha": lambda image: encode(with_transparent_corners(image).convert("LA"), "PNG"),
    "PNG, palette": lambda image: encode(image.quantize(256), "PNG"),
    "PNG, palette with alpha": lambda image: encode(with_transparent_corners(image).quantize(256), "PNG"),
    "PNG, 1-bit": lambda image: encode(image.convert("1"), "PNG"),
    "PNG, 16-bit": lambda image: encode(sixteen_bits(image), "PNG"),
    "PNG, interlaced": encode_interlaced_png,
    "PNG, much text": lambda image: encode(image, "PNG", pnginfo=_much_text()),
    "PNG, animated": lambda image: encode_animation(image, "PNG"),
    "BMP": lambda image: encode(image, "BMP"),
    "BMP, palette": lambda image: encode(image.quantize(256), "BMP"),
    "GIF": lambda image: encode(image, "GIF"),
    "GIF, animated": lambda image: encode_animation(image, "GIF"),
    "WebP": lambda image: encode(image, "WEBP", quality=80),
    "WebP, lossless with alpha": lambda image: encode(with_transparent_corners(image), "WEBP", lossless=True),
    "WebP, animated": lambda image: encode_animation(image, "WEBP"),
    "TIFF": lambda image: encode(image, "TIFF"),
    "TIFF, LZW": lambda image: encode(image, "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": lambda image: encode(image, "TIFF", compression="jpeg"),
    "TIFF, CMYK": lambda image: encode(image.convert("CMYK"), "TIFF"),
    "TIFF, EXIF-rotated": lambda image: encode_turned(image, 8, "TIFF"),
    "TIFF, 16-bit": lambda image: encode(sixteen_bits(image), "TIFF"),
    "TIFF, 16-bit, big-endian": lambda image: encode(sixteen_bits(image, ">"), "TIFF"),
    "TIFF, 12 bits in 16": lambda image: write_tiff((_grey(image) * 16).astype(np.uint16)),
    "TIFF, 16-bit planes": lambda image: write_tiff(np.asarray(image, np.uint16) * 257, Layout(2, planar=True)),
    "TIFF, 32-bit integers": lambda image: encode(Image.fromarray(_grey(image).astype(np.int32) * 257), "TIFF"),
    "TIFF, 32-bit floats": lambda image: encode(Image.fromarray(_grey(image) / 255), "TIFF"),
    "AVIF": lambda image: encode(image, "AVIF", quality=75, speed=10),
    "AVIF, EXIF-rotated": lambda image: encode_turned(image, 6, "AVIF", quality=75, speed=10),
}
