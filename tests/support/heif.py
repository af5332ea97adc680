"""Writes HEIC and AVIF files box by box from a coded picture: grids, overlays, color boxes, transformations."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from tests.support.pictures import TRAFFIC_LIGHT_HEIC, encode

# Properties that no reader may ignore.
_ESSENTIAL = (b"hvcC", b"av1C", b"irot", b"imir")


def box(name: bytes, *content: bytes) -> bytes:
    """Return one box."""
    inside = b"".join(content)
    return struct.pack(">I", 8 + len(inside)) + name + inside


def full_box(name: bytes, version: int, flags: int, *content: bytes) -> bytes:
    """Return one box with a version and flags."""
    return box(name, struct.pack(">I", version << 24 | flags), *content)


@dataclass(frozen=True)
class Item:
    """An item of a file, with its properties as whole boxes; its number is its place in the file, from 1."""

    kind: bytes
    data: bytes
    properties: Sequence[bytes] = ()
    in_idat: bool = False
    pieces: int = 1
    """How many extents the data is split into; they are stored in reverse order."""


@dataclass(frozen=True)
class Reference:
    """A reference from one item to others, by number."""

    kind: bytes
    item: int
    others: Sequence[int] = field(default=())


@dataclass(frozen=True)
class Coded:
    """A coded picture taken from a file: the type of its item, its configuration box, its data, and its side."""

    kind: bytes
    configuration: bytes
    data: bytes
    width: int
    height: int

    def item(self, *properties: bytes, pieces: int = 1, in_idat: bool = False) -> Item:
        """Return it as an item with further properties."""
        size = extent_box(self.width, self.height)
        return Item(self.kind, self.data, (self.configuration, size, *properties), in_idat, pieces)


def coded_hevc() -> Coded:
    """Return our drawing, 320 x 320."""
    data = TRAFFIC_LIGHT_HEIC.read_bytes()
    return Coded(b"hvc1", _box_in(data, b"hvcC"), data[data.index(b"mdat") + 4 :], 320, 320)


def coded_av1(image: Image.Image, **options: object) -> Coded:
    """Return an opaque picture as AV1."""
    data = encode(image, "AVIF", **({"quality": 90, "speed": 10} | options))
    return Coded(b"av01", _box_in(data, b"av1C"), data[data.index(b"mdat") + 4 :], *image.size)


def extent_box(width: int, height: int) -> bytes:
    """Return the property with the size of a picture."""
    return full_box(b"ispe", 0, 0, struct.pack(">II", width, height))


def color_box(primaries: int, transfer: int) -> bytes:
    """Return the property with the code points of colors; YCbCr as in JPEG, full range."""
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 6, 0x80))


def alpha_box() -> bytes:
    """Return the property that makes a picture an alpha plane."""
    return full_box(b"auxC", 0, 0, b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")


def grid(coded: Coded, columns: int, rows: int, in_idat: bool = False, pieces: int = 1) -> bytes:
    """Return a file whose picture is a grid of the same tile."""
    count, width, height = columns * rows, columns * coded.width, rows * coded.height
    head = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    tiles = [coded.item(pieces=pieces)] * count
    whole = Item(b"grid", head, (extent_box(width, height),), in_idat)
    return heif_file(coded.kind, [whole, *tiles], [Reference(b"dimg", 1, range(2, count + 2))])


def overlay(coded: Coded) -> bytes:
    """Return a file whose picture is two coded pictures side by side on white."""
    width, height = 2 * coded.width, coded.height
    head = struct.pack(">BBHHHHHHiiii", 0, 0, *[65535] * 4, width, height, 0, 0, coded.width, 0)
    whole = Item(b"iovl", head, (extent_box(width, height),))
    return heif_file(coded.kind, [whole, coded.item(), coded.item()], [Reference(b"dimg", 1, (2, 3))])


def heif_file(kind: bytes, items: Sequence[Item], references: Sequence[Reference] = (), primary: int = 1) -> bytes:
    """Return a file of these items; `kind` is the type of the coded ones."""
    brand = b"avif" if kind == b"av01" else b"heic"
    head = box(b"ftyp", brand, bytes(4), b"mif1", b"miaf", brand)
    # The length of the meta box does not depend on the offsets in it.
    mdat_start = len(head) + len(_meta(items, references, primary, 0)) + 8
    pieces = b"".join(b"".join(reversed(_split(item))) for item in items if not item.in_idat)
    return head + _meta(items, references, primary, mdat_start) + box(b"mdat", pieces)


def _meta(items: Sequence[Item], references: Sequence[Reference], primary: int, mdat_start: int) -> bytes:
    entries = [
        full_box(b"infe", 2, 0, struct.pack(">HH4sB", number, 0, item.kind, 0)) for number, item in enumerate(items, 1)
    ]
    properties = [each for item in items for each in item.properties]
    listed = sorted(set(properties))
    associated = b"".join(
        struct.pack(">HB", number, len(item.properties))
        + bytes(listed.index(each) + 1 | (0x80 if each[4:8] in _ESSENTIAL else 0) for each in item.properties)
        for number, item in enumerate(items, 1)
    )
    refers = [
        box(each.kind, struct.pack(f">HH{len(each.others)}H", each.item, len(each.others), *each.others))
        for each in references
    ]
    return full_box(
        b"meta",
        0,
        0,
        full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", 0, 0, struct.pack(">H", primary)),
        _locations(items, mdat_start),
        full_box(b"iinf", 0, 0, struct.pack(">H", len(items)), *entries),
        full_box(b"iref", 0, 0, *refers) if refers else b"",
        box(b"iprp", box(b"ipco", *listed), full_box(b"ipma", 0, 0, struct.pack(">I", len(items)), associated)),
        box(b"idat", stored) if (stored := b"".join(item.data for item in items if item.in_idat)) else b"",
    )


def _locations(items: Sequence[Item], mdat_start: int) -> bytes:
    found, in_file, in_idat = b"", mdat_start, 0
    for number, item in enumerate(items, 1):
        place, pieces = (in_idat if item.in_idat else in_file), _split(item)
        found += struct.pack(">HHHH", number, int(item.in_idat), 0, len(pieces))
        for index, piece in enumerate(pieces):
            later = 0 if item.in_idat else sum(map(len, pieces[index + 1 :]))
            found += struct.pack(">II", place + later, len(piece))
        if item.in_idat:
            in_idat += len(item.data)
        else:
            in_file += len(item.data)
    return full_box(b"iloc", 1, 0, struct.pack(">HH", 0x4400, len(items)), found)


def _split(item: Item) -> list[bytes]:
    length = max(1, -(-len(item.data) // item.pieces))
    return [item.data[start : start + length] for start in range(0, len(item.data), length)]


def _box_in(data: bytes, name: bytes) -> bytes:
    start = data.index(name) - 4
    return data[start : start + int.from_bytes(data[start : start + 4])]
