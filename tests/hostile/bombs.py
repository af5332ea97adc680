"""Small or well-formed files that are made to take time or memory, or to have no end."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from tests.hostile.case import FAILED, REFUSED, SUCCEEDED, TOO_LARGE, Case
from tests.support.pictures import TRAFFIC_LIGHT_HEIC, encode, png_chunk

MEBIBYTE = 1024 * 1024
# As much as a picture may have, less some room.
FULL = 19 * MEBIBYTE
FRAMES = 10_000
PNG = b"\x89PNG\r\n\x1a\n"
GIF = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
SMALL = Image.linear_gradient("L").resize((32, 32)).convert("RGB")


ANSWERED, REFUSAL, OVER = frozenset({SUCCEEDED}), frozenset({REFUSED}), frozenset({TOO_LARGE})
DECODED = frozenset({SUCCEEDED, FAILED})


def bombs() -> Iterator[Case]:
    """Yield all of them."""
    yield from (*_pngs(), *_gifs(), *_webps(), *_tiffs(), *_jpegs(), *_bmps(), *_avifs(), *_heifs())


def _pngs() -> Iterator[Case]:
    yield Case("PNG", "flat, 14,000 x 14,000", lambda: flat_png(14_000, 14_000), OVER)
    yield Case("PNG", "flat, 8,000 x 8,000 RGB", lambda: flat_png(8000, 8000, 2), DECODED)
    yield Case("PNG", "flat, 8,000 x 8,000 RGBA, 16 bits", lambda: flat_png(8000, 8000, 6, 16), DECODED)
    yield Case("PNG", "flat, 8,000 x 8,000, interlaced", lambda: flat_png(8000, 8000, 2, interlaced=1), DECODED)
    yield Case("PNG", "a side of 65,536", lambda: flat_png(65_536, 100), OVER)
    yield Case("PNG", "a side of 65,535", lambda: flat_png(65_535, 100), ANSWERED)
    yield Case("PNG", "a side of 2,147,483,647", lambda: flat_png(2**31 - 1, 1, rows=1), OVER)
    yield Case("PNG", "inflates to 100 times its size", inflating_png, DECODED)
    yield Case("PNG", "10,000 frames", animated_png, OVER)
    yield Case("PNG", "endless chunks before the pixels", lambda: png_of_chunks(before=True), REFUSAL)
    yield Case("PNG", "endless chunks behind the pixels", lambda: png_of_chunks(before=False), DECODED)
    yield Case("PNG", "a text that inflates to a gigabyte", lambda: png_with(b"zTXt", b"k\0\0" + inflating(1024)))
    yield Case("PNG", "a profile that inflates to a gigabyte", lambda: png_with(b"iCCP", b"p\0\0" + inflating(1024)))
    yield Case("PNG", "60 texts of a megabyte", lambda: png_with(b"zTXt", b"k\0\0" + inflating(1), 60))


def _gifs() -> Iterator[Case]:
    yield Case("GIF", "10,000 frames", animated_gif, ANSWERED)
    yield Case("GIF", "65,535 x 65,535", lambda: GIF[:6] + b"\xff" * 4 + GIF[10:] + gif_frame() + b";", OVER)
    yield Case("GIF", "a frame larger than its screen", lambda: GIF + gif_frame(60_000, 60_000) + b";", OVER)
    yield Case("GIF", "endless comments", lambda: endless(GIF, b"!\xfe\x01x\0"), REFUSAL)
    yield Case("GIF", "one endless comment", lambda: endless(GIF + b"!\xfe", b"\x01x"), REFUSAL)
    yield Case("GIF", "endless extensions behind the frame", lambda: endless(gif()[:-1], b"!\xf9\0"), ANSWERED)


def _webps() -> Iterator[Case]:
    yield Case("WEBP", "10,000 frames", lambda: animated_webp(32, 32, FRAMES), OVER)
    yield Case("WEBP", "4,000 frames", lambda: animated_webp(32, 32, 4000), ANSWERED)
    yield Case("WEBP", "a canvas of 16,384 x 16,384", lambda: animated_webp(16_384, 16_384, 2), OVER | REFUSAL)
    yield Case("WEBP", "a canvas of 8,000 x 8,000", lambda: animated_webp(8000, 8000, 2), DECODED)
    yield Case("WEBP", "endless chunks", lambda: webp(endless(b"", b"JUNK\0\0\0\0")), REFUSAL)


def _tiffs() -> Iterator[Case]:
    yield Case("TIFF", "a million tags", lambda: big_tiff_of_tags(900_000), REFUSAL)
    yield Case("TIFF", "65,535 tags", lambda: tiff_of_tags([(50_000 + n % 9000, 3, 1, 1) for n in range(65_535)]))
    yield Case("TIFF", "strips at 5 million places", lambda: tiff_of_tags(picture_tags(strips=(4, FULL // 4))), REFUSAL)
    yield Case("TIFF", "strips at 19 million bytes", lambda: tiff_of_tags(picture_tags(strips=(1, FULL))), REFUSAL)
    yield Case("TIFF", "a resolution of 2 million fractions", lambda: tiff_of_tags(picture_tags(dpi=FULL // 8)))
    yield Case("TIFF", "the largest tags that are read", lambda: tiff_of_tags(picture_tags((1, 262_000), 32_000)))
    yield Case(
        "TIFF", "its directory leads back to itself", lambda: tiff_of_tags(picture_tags(), following=8), ANSWERED
    )
    yield Case("TIFF", "tiles of 4 gigapixels", lambda: tiff_of_tags(tile_tags()))
    yield Case("TIFF", "flat, deflated, 8,000 x 8,000", lambda: flat_tiff("tiff_adobe_deflate"), DECODED)
    yield Case("TIFF", "flat, LZW, 8,000 x 8,000", lambda: flat_tiff("tiff_lzw"), DECODED)


def _jpegs() -> Iterator[Case]:
    yield Case("JPEG", "endless segments", lambda: endless(b"\xff\xd8", b"\xff\xe5\0\x02"), REFUSAL)
    yield Case("JPEG", "endless comments", lambda: endless(b"\xff\xd8", b"\xff\xfe\0\x03x"), REFUSAL)
    yield Case("JPEG", "endless filling", lambda: endless(b"\xff\xd8", b"\xff"), REFUSAL)
    yield Case("JPEG", "endless rubbish", lambda: endless(b"\xff\xd8\xff\xe5\0\x02", b"\0"), REFUSAL)
    yield Case("JPEG", "EXIF data of 2 million fractions", jpeg_with_long_exif, REFUSAL)
    yield Case("JPEG", "65,500 x 65,500", lambda: resized_jpeg(65_500, 65_500), OVER)
    yield Case("JPEG", "8,000 x 8,000 in a header of 32 x 32", lambda: resized_jpeg(8000, 8000), DECODED)
    yield Case("JPEG", "8,000 x 8,000, 100,000 scans", lambda: jpeg_of_scans(100_000), frozenset({FAILED}))
    yield Case("JPEG", "8,000 x 8,000, 100 scans", lambda: jpeg_of_scans(100), DECODED)


def _bmps() -> Iterator[Case]:
    yield Case("BMP", "40,000 x 40,000", lambda: bmp(40_000, 40_000), OVER)
    yield Case("BMP", "of no height", lambda: bmp(8, 0))
    yield Case("BMP", "runs of one pixel, 8,000 x 8,000", lambda: bmp(8000, 8000, b"\x01\0" * (9 * MEBIBYTE)), DECODED)
    yield Case("BMP", "jumps", lambda: bmp(8000, 8000, b"\0\x02\xff\xff" * (4 * MEBIBYTE)), DECODED)


def _avifs() -> Iterator[Case]:
    yield Case("AVIF", "says 60,000 x 60,000", lambda: claiming(avif(), 60_000), OVER | REFUSAL)
    yield Case("AVIF", "says 8,000 x 8,000", lambda: claiming(avif(), 8000), DECODED | REFUSAL)
    yield Case("AVIF", "endless boxes", lambda: endless(avif()[:32], b"\0\0\0\x08free"), REFUSAL)
    yield Case("AVIF", "nested boxes", lambda: avif()[:32] + nested_boxes(b"meta", 100_000), REFUSAL)
    yield Case("AVIF", "EXIF data of 2 million fractions", avif_with_long_exif, ANSWERED)
    yield Case("AVIF", "flat, 8,000 x 8,000", flat_avif, DECODED)


def _heifs() -> Iterator[Case]:
    yield Case("HEIF", "says 60,000 x 60,000", lambda: claiming(heic(), 60_000), OVER | REFUSAL | DECODED)
    yield Case("HEIF", "says 8,000 x 8,000", lambda: claiming(heic(), 8000))
    yield Case("HEIF", "endless boxes", lambda: endless(heic()[:24], b"\0\0\0\x08free"), REFUSAL)
    yield Case("HEIF", "nested boxes", lambda: heic()[:24] + nested_boxes(b"iprp", 100_000), REFUSAL)


def endless(start: bytes, piece: bytes) -> bytes:
    """Return a file of nearly the allowed size that only ever goes on."""
    return start + piece * ((FULL - len(start)) // len(piece))


def inflating(mebibytes: int) -> bytes:
    """Return what zlib inflates to so many mebibytes of nothing."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(mebibytes)) + packer.flush()


def _header(width: int, height: int, colour: int = 0, bits: int = 8, interlaced: int = 0) -> bytes:
    return PNG + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


def flat_png(
    width: int, height: int, colour: int = 0, bits: int = 8, *, interlaced: int = 0, rows: int | None = None
) -> bytes:
    """Return a PNG of zeros; an interlaced one has a few rows too many and nobody minds."""
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[colour] * bits // 8) if rows is None else b"\0"
    count = (height if rows is None else rows) * (2 if interlaced else 1)
    packer = zlib.compressobj(1)
    pixels = b"".join(packer.compress(row) for _ in range(count)) + packer.flush()
    return _header(width, height, colour, bits, interlaced) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def inflating_png() -> bytes:
    """Return a PNG of 100 x 100 whose pixels inflate to a gigabyte."""
    return _header(100, 100) + png_chunk(b"IDAT", inflating(1024)) + png_chunk(b"IEND", b"")


def animated_png() -> bytes:
    """Return an animation of FRAMES frames of one pixel."""
    control = struct.pack(">IIIIHHBB", 1, 1, 0, 0, 1, 100, 0, 0)
    pixel = zlib.compress(b"\0\0")
    frames = (
        png_chunk(b"fcTL", struct.pack(">I", 2 * n + 1) + control)
        + png_chunk(b"fdAT", struct.pack(">I", 2 * n + 2) + pixel)
        for n in range(FRAMES - 1)
    )
    first = png_chunk(b"fcTL", struct.pack(">I", 0) + control) + png_chunk(b"IDAT", pixel)
    count = png_chunk(b"acTL", struct.pack(">II", FRAMES, 0))
    return _header(1, 1) + count + first + b"".join(frames) + png_chunk(b"IEND", b"")


def png_of_chunks(before: bool) -> bytes:
    """Return a PNG with a million and a half chunks of nothing."""
    chunks = png_chunk(b"teST", b"") * (FULL // 12)
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(2 * 1)))
    return _header(1, 1) + (chunks + pixels if before else pixels + chunks) + png_chunk(b"IEND", b"")


def png_with(name: bytes, content: bytes, times: int = 1) -> bytes:
    """Return a PNG of a pixel with these chunks before it."""
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(2)))
    return _header(1, 1) + png_chunk(name, content) * times + pixels + png_chunk(b"IEND", b"")


def gif() -> bytes:
    return encode(SMALL.convert("P"), "GIF")


def gif_frame(width: int = 16, height: int = 16) -> bytes:
    """Return a frame of a GIF: its size, and one pixel."""
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0"


def animated_gif() -> bytes:
    """Return an animation of FRAMES times the same frame."""
    frame = gif()
    start = frame.index(b",", 13 + (6 << (frame[10] & 7)))
    return frame[:-1] + (b"!\xf9\x04\0\x01\0\0\0" + frame[start:-1]) * (FRAMES - 1) + b";"


def webp(chunks: bytes) -> bytes:
    """Return a WebP file of these chunks."""
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def animated_webp(width: int, height: int, frames: int) -> bytes:
    """Return an animation whose frames are 32 x 32."""
    picture = encode(SMALL, "WEBP", lossless=True)[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + (31).to_bytes(3, "little") * 2 + (10).to_bytes(3, "little") + b"\0" + picture
    return webp(
        b"VP8X"
        + struct.pack("<IB3x", 10, 0x02)
        + size
        + b"ANIM"
        + struct.pack("<IIH", 6, 0, 0)
        + (b"ANMF" + struct.pack("<I", len(frame)) + frame) * frames
    )


Tag = tuple[int, int, int, int]
# Bytes of a value of each type.
TIFF_SIZES = {1: 1, 3: 2, 4: 4, 5: 8}


def tiff_of_tags(tags: list[Tag], following: int = 0) -> bytes:
    """Return a TIFF of (tag, type, count, value); long values all are what lies behind the directory."""
    pixels = bytes(range(64)) * 4
    behind = 8 + 2 + 12 * len(tags) + 4
    longest = max(TIFF_SIZES[kind] * count for _, kind, count, _ in tags)
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count, value if TIFF_SIZES[kind] * count <= 4 else behind)
        for tag, kind, count, value in tags
    )
    ones = b"\x08\0\0\0" * (max(longest, len(pixels)) // 4 + 1)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + ones


def picture_tags(strips: tuple[int, int] = (4, 1), dpi: int = 1) -> list[Tag]:
    """Return the tags of a grey picture of 8 x 8; strips are (type, count)."""
    return [
        *((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, *strips, 8)),
        *((277, 3, 1, 1), (278, 3, 1, 8 if strips[1] == 1 else 1), (279, 4, 1, 64), (282, 5, dpi, 0), (283, 5, dpi, 0)),
    ]


def tile_tags() -> list[Tag]:
    """Return the tags of a picture of 64 x 64 in one deflated tile of 65,520 x 65,520."""
    return [
        *((256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)),
        *((322, 3, 1, 65_520), (323, 3, 1, 65_520), (324, 4, 1, 8), (325, 4, 1, 64)),
    ]


def big_tiff_of_tags(count: int) -> bytes:
    """Return a BigTIFF of so many tags, which needs 20 bytes for each."""
    tag = struct.pack("<HHQQ", 50_000, 3, 1, 1)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, count) + tag * count + bytes(8)


def flat_tiff(compression: str) -> bytes:
    return encode(Image.new("RGB", (8000, 8000)), "TIFF", compression=compression)


def jpeg_with_long_exif() -> bytes:
    """Return a JPEG whose EXIF data go on over many segments: a resolution of two million fractions."""
    tag = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x011A, 5, FULL // 8, 26) + bytes(4)
    data = tag + b"\x01\0\0\0" * (FULL // 4)
    step = 65_000
    pieces = [data[start : start + step] for start in range(0, FULL, step)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(piece) + 8) + b"Exif\0\0" + piece for piece in pieces)
    return b"\xff\xd8" + segments + encode(SMALL, "JPEG")[20:]


def resized_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG of 32 x 32 that says something else."""
    data = bytearray(encode(SMALL, "JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_scans(count: int, side: int = 8000) -> bytes:
    """Return a flat progressive JPEG that refines one coefficient of all blocks again and again.

    A scan of some 130 bytes walks over a million blocks: runs of 32,767 blocks in which nothing changes.
    """
    data = encode(Image.new("L", (side, side), 128), "JPEG", progressive=True, quality=50)
    end = data.rindex(b"\xff\xd9")
    start = data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda"))
    return data[:end] + (data[start:end] * count)[: FULL - end] + data[end:]


def bmp(width: int, height: int, runs: bytes = b"") -> bytes:
    """Return a BMP of a palette; `runs` are its pixels, run-length encoded."""
    offset = 14 + 40 + 4 * 256
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1 if runs else 0, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset) + header + bytes(4 * 256) + runs


def avif() -> bytes:
    return encode(SMALL, "AVIF", speed=10)


def heic() -> bytes:
    return TRAFFIC_LIGHT_HEIC.read_bytes()


def claiming(data: bytes, side: int) -> bytes:
    """Return an AVIF or HEIC picture that says it is `side` x `side`."""
    changed = bytearray(data)
    place = changed.find(b"ispe")
    while place >= 0:
        changed[place + 8 : place + 16] = struct.pack(">II", side, side)
        place = changed.find(b"ispe", place + 16)
    return bytes(changed)


def nested_boxes(name: bytes, depth: int) -> bytes:
    """Return boxes each of which has the next one in it."""
    sizes = range(12 * depth, 0, -12)
    return b"".join(struct.pack(">I", size) + name + bytes(4) for size in sizes)


def avif_with_long_exif() -> bytes:
    """Return an AVIF whose orientation is two million fractions."""
    exif = Image.Exif()
    exif.endian = "<"
    exif[0x0110] = "abc"
    exif[50_000] = b"\x01\0\0\0" * (FULL // 4 - 1000)
    # Nobody writes such a thing: an honest tag is changed afterwards.
    honest = struct.pack("<HHI4s", 0x0110, 2, 4, b"abc\0")
    data = encode(SMALL, "AVIF", speed=10, exif=exif)
    return data.replace(honest, struct.pack("<HHII", 0x0112, 5, FULL // 8 - 1000, 26))


def flat_avif() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8000, 8000)).save(file, "AVIF", speed=10)
    return file.getvalue()
