"""Reads the boxes of HEIC and AVIF files (ISO/IEC 23008-12) to find missing data and color code points."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.decoding.boxes import Box, BoxReader, Budget

ALPHA_TYPES = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0",
    b"urn:mpeg:hevc:2015:auxid:1\0",
    b"urn:mpeg:avc:2015:auxid:1\0",
)
MISSING = "parts of its data are missing; send the complete file"
# HEVC data has at most two zero bytes in a row, a length at most three. More are a gap of an incomplete transfer.
HOLE = bytes(8)

_IN_FILE, _IN_IDAT = 0, 1


@dataclass(frozen=True)
class _Extent:
    """A piece of an item's data, counted from the beginning of the file or of the idat box."""

    construction: int
    start: int
    end: int


@dataclass
class HeifContainer:
    """The items of a file: coded pictures, and pictures that are derived from others (grids, overlays)."""

    data: memoryview
    primary: int | None = None
    idat: memoryview = field(default_factory=lambda: memoryview(b""))
    properties: list[Box] = field(default_factory=list)
    extents: dict[int, list[_Extent]] = field(default_factory=dict)
    sources: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The items that an item is derived from."""
    auxiliaries: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Alpha planes, depth maps and gain maps of an item."""
    property_indices: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, data: bytes) -> "HeifContainer":
        """Read the first meta box of `data`; sequences (films) need not have one.

        Raises:
            ValueError: the boxes are damaged, or too many.
        """
        container = cls(memoryview(data))
        reader = BoxReader(container.data, Budget())
        meta = next((box for box in reader.boxes() if box.name == b"meta"), None)
        for box in reader.inside(meta, skip=4).boxes() if meta else ():
            inside = reader.inside(box)
            if box.name == b"pitm":
                container.primary = inside.number(2 if inside.version() == 0 else 4)
            elif box.name == b"idat":
                container.idat = box.content
            elif box.name == b"iloc":
                container.extents = dict(_locations(inside))
            elif box.name == b"iref":
                container._read_references(inside)
            elif box.name == b"iprp":
                container._read_properties(inside)
        return container

    def check_complete(self) -> None:
        """Raise ValueError if data of the primary picture are missing, such as one of its tiles.

        libheif replaces a missing tile by a green one; pi_heif does not expose the option that prevents it.
        """
        extents: dict[_Extent, bool] = {}
        for item in self._shown_items():
            # An identity ("iden") is derived from another item and has no data.
            if not self.extents.get(item) and not self.sources.get(item):
                raise ValueError(MISSING)
            is_hevc = any(self._properties_of(item, b"hvcC"))
            extents |= dict.fromkeys(self.extents.get(item, ()), is_hevc)
        # Items may share whole extents. This limits the work for extents that overlap otherwise.
        if sum(extent.end - extent.start for extent in extents) > 2 * len(self.data):
            raise ValueError(MISSING)
        for extent, is_hevc in extents.items():
            self._check_extent(extent, is_hevc)

    def code_points(self) -> tuple[int, int] | None:
        """Return color primaries and transfer characteristics (ITU-T H.273) of the primary picture, if stated."""
        for item in self._shown_items():
            for box in self._properties_of(item, b"colr"):
                if bytes(box.content[:4]) == b"nclx" and len(box.content) >= 8:
                    return int.from_bytes(box.content[4:6]), int.from_bytes(box.content[6:8])
        return None

    def _shown_items(self) -> list[int]:
        """Return the primary item and all items that it is made of, itself first."""
        alphas = {item for item in self.property_indices if self._is_alpha(item)}
        shown = [] if self.primary is None else [self.primary]
        known = set(shown)
        for item in shown:  # grows during the loop
            parts = (*self.sources.get(item, ()), *(each for each in self.auxiliaries.get(item, ()) if each in alphas))
            shown += dict.fromkeys(each for each in parts if each not in known)
            known.update(parts)
        return shown

    def _is_alpha(self, item: int) -> bool:
        return any(bytes(box.content[4:60]).startswith(ALPHA_TYPES) for box in self._properties_of(item, b"auxC"))

    def _properties_of(self, item: int, name: bytes) -> Iterator[Box]:
        for index in self.property_indices.get(item, ()):
            if 0 < index <= len(self.properties) and self.properties[index - 1].name == name:
                yield self.properties[index - 1]

    def _check_extent(self, extent: _Extent, is_hevc: bool) -> None:
        # No decoder supports other constructions.
        places = {_IN_FILE: self.data, _IN_IDAT: self.idat}
        piece = places.get(extent.construction, memoryview(b""))[extent.start : extent.end]
        if len(piece) < extent.end - extent.start or (is_hevc and HOLE in bytes(piece)):
            raise ValueError(MISSING)

    def _read_references(self, reader: BoxReader) -> None:
        id_bytes = 2 if reader.version() == 0 else 4
        for box in reader.boxes():
            inside = reader.inside(box)
            item = inside.number(id_bytes)
            for _ in reader.budget.take(inside.number(2)):
                other = inside.number(id_bytes)
                if box.name == b"dimg":
                    self.sources[item].append(other)
                elif box.name == b"auxl":
                    self.auxiliaries[other].append(item)

    def _read_properties(self, reader: BoxReader) -> None:
        for box in reader.boxes():
            inside = reader.inside(box)
            if box.name == b"ipco":
                self.properties = list(inside.boxes())
            elif box.name == b"ipma":
                for item, index in _associations(inside):
                    self.property_indices[item].append(index)


def _locations(reader: BoxReader) -> Iterator[tuple[int, list[_Extent]]]:
    """Yield items and their extents from an iloc box."""
    version, sizes = reader.version(), reader.number(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 2 if version < 2 else 4
    for _ in reader.budget.take(reader.number(wide)):
        item = reader.number(wide)
        construction = reader.number(2) & 15 if version else _IN_FILE
        reader.number(2)
        base = reader.number(base_bytes)
        extents = []
        for _ in reader.budget.take(reader.number(2)):
            reader.number(index_bytes if version else 0)
            start = base + reader.number(offset_bytes)
            extents.append(_Extent(construction, start, start + reader.number(length_bytes)))
        yield item, extents


def _associations(reader: BoxReader) -> Iterator[tuple[int, int]]:
    """Yield items and the indices of their properties, from 1, from an ipma box."""
    head = reader.number(4)
    id_bytes, index_bytes = (2 if head >> 24 == 0 else 4), (2 if head & 1 else 1)
    for _ in reader.budget.take(reader.number(4)):
        item = reader.number(id_bytes)
        for _ in reader.budget.take(reader.number(1)):
            yield item, reader.number(index_bytes) & (0x7FFF if index_bytes == 2 else 0x7F)
