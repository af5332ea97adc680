"""Removes chunks that affect neither pixels nor orientation of a PNG: Pillow refuses a PNG if one is damaged."""

import struct
import zlib

from shared.errors import UnsupportedPicture
from shared.images.formats import CUT_OFF, DAMAGED, TOO_LONG
from shared.images.png_chunks import CHUNK_HEAD, PNG_SIGNATURE, Chunk, png_chunks

NO_PALETTE = "The PNG has no palette for its colors. Send another file."
# Before the pixels. Each one runs Python code under the GIL; real files have fewer than a hundred.
MOST_HEADER_CHUNKS = 5_000
# The limit of Pillow's decompression.
MOST_PROFILE_BYTES = 1024 * 1024

_CHECKSUM = struct.Struct(">I")
_PALETTE = 3
# Bytes of a transparent color, by color type.
_COLOR_BYTES = {0: 2, 2: 6}
_SIZE_AND_FRAMES = (b"IHDR", b"PLTE", b"acTL", b"fcTL")
# The ancillary chunks that are kept, and the allowed lengths of their content.
_NEEDED = {
    b"tRNS": range(1, 257),
    b"gAMA": range(4, 5),
    b"cHRM": range(32, 33),
    b"sRGB": range(1, 2),
    b"cICP": range(4, 5),
    b"iCCP": range(3, MOST_PROFILE_BYTES),
    b"eXIf": range(1, 2**31),
    b"acTL": range(8, 9),
    b"fcTL": range(26, 27),
}
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def _is_intact(chunk: Chunk) -> bool:
    """Return whether the length of an ancillary chunk is right for its name, and its checksum for its content."""
    (checksum,) = _CHECKSUM.unpack(chunk.whole[-4:])
    return len(chunk.content) in _NEEDED[chunk.name] and zlib.crc32(chunk.whole[4:-4]) == checksum


def header_of_png(data: bytes) -> bytes:
    """Return a PNG without pixels that has the size and the number of frames of `data`.

    Raises:
        UnsupportedPicture: the header is cut off, damaged or too long.
    """
    chunks = _needed(_header(memoryview(data)))
    pixels = CHUNK_HEAD.pack(0, b"IDAT")
    return b"".join((PNG_SIGNATURE, *(each.whole for each in chunks if each.name in _SIZE_AND_FRAMES), pixels))


def without_extras(data: bytes) -> bytes:
    """Return the PNG with all its pixels, but without unneeded chunks; `data` itself if there are none.

    Ancillary chunks that are damaged, misplaced or repeated are dropped as well, as in browsers.

    Raises:
        UnsupportedPicture: the header is cut off, damaged or too long.
    """
    view = memoryview(data)
    header = _header(view)
    needed = _needed(header)
    names = {each.name for each in needed}
    frames = (b"fcTL", b"fdAT") if b"acTL" in names else ()
    start = header[-1].end
    pieces: list[memoryview] = []
    for chunk in png_chunks(view, start):
        if chunk.is_critical or chunk.name in frames:
            continue
        # EXIF data may also follow the pixels.
        if chunk.name != b"eXIf" or chunk.name in names or not _is_intact(chunk):
            if start < chunk.start:
                pieces.append(view[start : chunk.start])
            start = chunk.end
    if not pieces and start == header[-1].end and len(needed) == len(header):
        return data
    return b"".join((PNG_SIGNATURE, *(each.whole for each in needed), *pieces, view[start:]))


def _header(view: memoryview) -> list[Chunk]:
    """Return all chunks before the pixels."""
    found: list[Chunk] = []
    for chunk in png_chunks(view):
        if chunk.name == b"IDAT" and found:
            if _color_type(found) == _PALETTE and all(each.name != b"PLTE" for each in found):
                raise UnsupportedPicture(NO_PALETTE)
            return found
        if len(found) == MOST_HEADER_CHUNKS:
            raise UnsupportedPicture(TOO_LONG.format("PNG"))
        if not chunk.name.isalpha() or not (found or chunk.name == b"IHDR"):
            raise UnsupportedPicture(DAMAGED.format("PNG"))
        if chunk.end > len(view):
            break
        found.append(chunk)
    raise UnsupportedPicture(CUT_OFF.format("PNG"))


def _needed(header: list[Chunk]) -> list[Chunk]:
    """Return the needed chunks of `header`; of ancillary chunks with the same name, only the first."""
    animated = _is_animated(header)
    needed: list[Chunk] = []
    seen: set[bytes] = set()
    for chunk in header:
        if chunk.is_critical:
            needed.append(chunk)
        elif chunk.name not in _NEEDED or chunk.name in seen or not _is_intact(chunk):
            continue
        elif _is_usable(chunk, header, b"PLTE" in seen) and (animated or chunk.name not in _ANIMATION):
            needed.append(chunk)
        seen.add(chunk.name)
    return needed


def _is_usable(chunk: Chunk, header: list[Chunk], has_palette: bool) -> bool:
    if chunk.name == b"iCCP":
        return _is_profile(chunk.content)
    if chunk.name == b"tRNS":
        color = _color_type(header)
        return has_palette if color == _PALETTE else _COLOR_BYTES.get(color) == len(chunk.content)
    return True


def _color_type(header: list[Chunk]) -> int:
    content = header[0].content
    return content[9] if len(content) > 9 else -1


def _is_profile(content: memoryview) -> bool:
    """Return whether Pillow can decompress the profile."""
    _, _, rest = bytes(content).partition(b"\0")
    if rest[:1] != b"\0":
        return False
    inflating = zlib.decompressobj()
    try:
        inflating.decompress(rest[1:], MOST_PROFILE_BYTES)
    except zlib.error:
        return False
    return not inflating.unconsumed_tail


def _is_animated(header: list[Chunk]) -> bool:
    """Return whether the animation can be read; if not, the picture is a still one, as the specification requires."""
    controls = [each for each in header if each.name == b"acTL"]
    frames = [each for each in header if each.name == b"fcTL"]
    if len(controls) != 1 or len(frames) > 1 or not all(_is_intact(each) for each in controls + frames):
        return False
    # A control chunk before the pixels makes them the first frame, which must have full size.
    whole = bytes(4) + bytes(header[0].content[:8]) + bytes(8)
    return bytes(controls[0].content[:4]) != bytes(4) and all(bytes(each.content[:20]) == whole for each in frames)
