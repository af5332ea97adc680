"""Sets up Pillow's reader of TIFFs, and describes TIFFs that are not accepted."""

from collections.abc import Mapping
from typing import IO, Any

from PIL import TiffImagePlugin as plugin

Tags = Mapping[int, Any]

# Values of tags.
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE, _CMYK, _LAB = 0, 1, 3, 5, 8
_COLORFUL = (2, 5, 6)
_RAW = (32803, 34892)
_CCITT, _OLD_JPEG, _JPEG, _WEBP = (2, 3, 4), 6, 7, 50001
_REDUCED = 1
_PLANES, _MOST_PLANES = 2, 4
_COLORS = {4: "a mask", 8: "Lab colors", 9: "Lab colors", 10: "Lab colors", 32844: "LogL", 32845: "LogLuv colors"}
_PLACES = (plugin.STRIPOFFSETS, plugin.TILEOFFSETS)
# Tags without a name in Pillow.
_SUBFILE_TYPE, _INK_SET, _DNG_VERSION = 254, 332, 50706

# What libtiff returns for greys above 8 bits, always in the byte order of this machine: Pillow's mode and raw mode.
_GREYS = {
    (_UNSIGNED, 12): ("I;16", "I;12"),
    (_UNSIGNED, 16): ("I;16", "I;16N"),
    (_UNSIGNED, 32): ("I", "I;32N"),
    (_SIGNED, 16): ("I", "I;16NS"),
    (_SIGNED, 32): ("I", "I;32NS"),
    (_FLOAT, 32): ("F", "F;32NF"),
}


def set_up_tiff() -> None:
    """Let libtiff read all pixels, and correct Pillow's table of their layouts."""
    # Pillow's own reader of uncompressed pixels reads 16-bit planes as bytes, and does not support subsampled YCbCr.
    plugin.READ_LIBTIFF = True
    for order in (plugin.II, plugin.MM):
        for (sample_format, bits), modes in _GREYS.items():
            for photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO):
                plugin.OPEN_INFO[order, photometric, (sample_format,), 1, (bits,), ()] = modes
        # Pillow reads the first as unsigned, and cannot convert the second to RGB.
        plugin.OPEN_INFO.pop((order, _BLACK_IS_ZERO, (_SIGNED,), 1, (8,), ()), None)
        plugin.OPEN_INFO.pop((order, _LAB, (_UNSIGNED,), 1, (8, 8, 8), ()), None)


def read_tags(file: IO[bytes]) -> Tags:
    """Return the tags of the first picture in `file`."""
    file.seek(0)
    start = file.read(8)
    tags = plugin.ImageFileDirectory_v2(start + (file.read(8) if start[2:3] == b"+" else b""))
    file.seek(tags.next)
    tags.load(file)
    return tags


def unsupported_tiff(tags: Tags) -> str:
    """Describe a TIFF, with an article, if it is not accepted or Pillow reads it wrong; else ""."""
    if _is_raw(tags):
        return "a camera's raw picture (DNG, NEF, ARW or similar)"
    reason = _unsupported_colors(tags) or _unsupported_samples(tags)
    return reason and f"a TIFF with {reason}"


def _is_raw(tags: Tags) -> bool:
    """Return whether the first picture is a sensor's data, or a preview of a larger picture."""
    is_preview = bool(tags.get(_SUBFILE_TYPE, 0) & _REDUCED) and plugin.SUBIFD in tags
    return is_preview or _DNG_VERSION in tags or tags.get(plugin.PHOTOMETRIC_INTERPRETATION) in _RAW


def _unsupported_colors(tags: Tags) -> str:
    compression = tags.get(plugin.COMPRESSION, 1)
    if compression not in plugin.COMPRESSION_INFO or compression == _WEBP:
        return f"compression {compression}"
    photometric = tags.get(plugin.PHOTOMETRIC_INTERPRETATION)
    if photometric is None and plugin.IMAGEWIDTH in tags and compression not in (*_CCITT, _OLD_JPEG):
        # Pillow would invert it.
        return "no tag for its colors"
    if not any(tag in tags for tag in _PLACES):
        # A tag above the size limit (shared/images/inspect.py) is missing too.
        return "no strips, or too many"
    if photometric == _PALETTE and plugin.COLORMAP not in tags:
        return "no palette"
    if photometric == _CMYK and tags.get(_INK_SET, 1) != 1:
        return "other inks than CMYK"
    return _COLORS.get(photometric, "") if photometric else ""


def _unsupported_samples(tags: Tags) -> str:
    if tags.get(plugin.BITSPERSAMPLE) == (12,) and tags.get(plugin.COMPRESSION) == _JPEG:
        return "a 12-bit JPEG in it"
    channels = tags.get(plugin.SAMPLESPERPIXEL, 1)
    is_colorful = tags.get(plugin.PHOTOMETRIC_INTERPRETATION) in _COLORFUL
    has_alpha = any(tags.get(plugin.EXTRASAMPLES, ()))
    if tags.get(plugin.PLANAR_CONFIGURATION) == _PLANES and has_alpha and (channels > _MOST_PLANES or not is_colorful):
        # Pillow reads only the first plane.
        return f"{channels} planes"
    return ""


def unknown_tiff(tags: Tags) -> str:
    """Describe a TIFF that Pillow cannot open, with an article, if Pillow does not support its samples; else ""."""
    photometric, bits = tags.get(plugin.PHOTOMETRIC_INTERPRETATION), tags.get(plugin.BITSPERSAMPLE)
    if photometric is None or bits is None:
        return ""
    sample_format = max(tags.get(plugin.SAMPLEFORMAT, (_UNSIGNED,)))
    extra = tags.get(plugin.EXTRASAMPLES, ())
    channels = tags.get(plugin.SAMPLESPERPIXEL, 1)
    if len(bits) == 1:
        bits *= min(channels, plugin.MAX_SAMPLESPERPIXEL)
    if any((photometric, (sample_format,), bits, extra) == (*key[1:3], *key[4:]) for key in plugin.OPEN_INFO):
        return ""
    kind = {_SIGNED: "signed ", _FLOAT: "float "}.get(sample_format, "")
    return f"a TIFF with {channels} {kind}{'sample' if channels == 1 else 'samples'} of {max(bits)} bits a pixel"
