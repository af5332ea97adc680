"""Writes TIFFs of kinds that Pillow cannot write."""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SHORT, LONG, BIG_LONG = 3, 4, 16
FORMATS = {"u": 1, "i": 2, "f": 3}
DEFLATE = 8


@dataclass(frozen=True)
class Layout:
    """How samples are stored; `tags` are further tags or replace those that the samples give."""

    photometric: int = 1
    bits: int = 0
    planar: bool = False
    big_endian: bool = False
    big_tiff: bool = False
    deflated: bool = False
    tile: int = 0
    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)
    without: tuple[int, ...] = ()


def write_tiff(samples: NDArray[np.generic], layout: Layout | None = None) -> bytes:
    """Return a TIFF of `samples` [height, width, channels], or [height, width] for one channel."""
    layout = layout or Layout()
    samples = samples if samples.ndim == 3 else samples[..., np.newaxis]
    height, width, channels = samples.shape
    bits = layout.bits or samples.dtype.itemsize * 8
    order = ">" if layout.big_endian else "<"
    planes = np.split(samples, channels, axis=2) if layout.planar else [samples]
    blocks = [_packed(block, bits, order) for plane in planes for block in _blocks(plane, layout.tile)]
    if layout.deflated:
        blocks = [zlib.compress(block) for block in blocks]
    places = (324, 325) if layout.tile else (273, 279)
    tags = {
        **{256: (width,), 257: (height,), 258: (bits,) * channels, 259: (DEFLATE if layout.deflated else 1,)},
        **{262: (layout.photometric,), 277: (channels,), 284: (2 if layout.planar else 1,)},
        **{339: (FORMATS[samples.dtype.kind],) * channels, places[1]: tuple(map(len, blocks))},
        **({322: (layout.tile,), 323: (layout.tile,)} if layout.tile else {278: (height,)}),
        **layout.tags,
    }
    return _file(tags, blocks, places[0], layout)


def _blocks(plane: NDArray[np.generic], tile: int) -> list[NDArray[np.generic]]:
    if not tile:
        return [plane]
    height, width, _ = plane.shape
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    rows = np.split(padded, padded.shape[0] // tile)
    return [block for row in rows for block in np.split(row, padded.shape[1] // tile, axis=1)]


def _packed(block: NDArray[np.generic], bits: int, order: str) -> bytes:
    """Return the samples in rows of whole bytes; samples of odd sizes have their highest bit first."""
    if bits == block.dtype.itemsize * 8:
        return block.astype(block.dtype.newbyteorder(order)).tobytes()
    rows = block.reshape(block.shape[0], -1).astype(">u4").view(np.uint8).reshape(block.shape[0], -1, 4)
    unpacked = np.unpackbits(rows, axis=2)[..., 32 - bits :]
    return np.packbits(unpacked.reshape(block.shape[0], -1), axis=1).tobytes()


def _file(tags: dict[int, tuple[int, ...]], blocks: list[bytes], places: int, layout: Layout) -> bytes:
    """Return the header, the blocks, the values of long tags, and the directory."""
    order, wide = ">" if layout.big_endian else "<", layout.big_tiff
    start = 16 if wide else 8
    body, offsets = b"", []
    for block in blocks:
        offsets.append(start + len(body))
        body += block + bytes(-len(block) % 8)
    entries = b""
    tags = {tag: values for tag, values in {**tags, places: tuple(offsets)}.items() if tag not in layout.without}
    for tag, values in sorted(tags.items()):
        kind = LONG if max(values) > 65_535 or tag == places else SHORT
        packed = struct.pack(f"{order}{len(values)}{'HL'[kind - SHORT]}", *values)
        entries += struct.pack(order + ("HHQ" if wide else "HHL"), tag, kind, len(values))
        if len(packed) <= (8 if wide else 4):
            entries += packed.ljust(8 if wide else 4, b"\0")
        else:
            entries += struct.pack(order + ("Q" if wide else "L"), start + len(body))
            body += packed + bytes(-len(packed) % 8)
    directory = start + len(body)
    head = b"MM" if layout.big_endian else b"II"
    head += struct.pack(order + "HHHQ", 43, 8, 0, directory) if wide else struct.pack(order + "HL", 42, directory)
    return head + body + struct.pack(order + ("Q" if wide else "H"), len(tags)) + entries + bytes(8)
