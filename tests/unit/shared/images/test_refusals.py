"""A file that is not accepted is refused by the name of what it is."""

import io
import re
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from shared.errors import UnsupportedPicture
from shared.images.formats import FORMATS, NAMES
from shared.images.inspect import cleaned, inspect_picture, open_picture, set_up_pillow
from shared.images.signatures import accepted_format, foreign_format
from tests.support.pictures import KINDS, TRAFFIC_LIGHT_HEIC, encode
from tests.support.tiffs import Layout, write_tiff

PICTURE = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
SAMPLES = np.arange(48, dtype=np.uint8).reshape(6, 8)
COLORS = np.repeat(SAMPLES[..., np.newaxis], 3, axis=2)


@pytest.fixture(autouse=True)
def _pillow() -> None:
    # pytest turns warnings into errors before every test, after the session's own set-up.
    set_up_pillow()


def boxes(brand: bytes) -> bytes:
    return struct.pack(">I", 16) + b"ftyp" + brand + bytes(4) + b"\0\0\0\x08mdat"


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("x.jpg", b"x")
    return file.getvalue()


def jpeg_of(frame: int, bits: int, channels: int = 3) -> bytes:
    segment = struct.pack(">BHHB", bits, 40, 60, channels) + b"".join(bytes((n + 1, 0x11, 0)) for n in range(channels))
    return b"\xff\xd8\xff\xe0\0\x04ab\xff" + bytes((frame,)) + struct.pack(">H", len(segment) + 2) + segment


def bmp_of(size: int, bits: int, compression: int = 0, masks: tuple[int, ...] = ()) -> bytes:
    header = struct.pack("<IiiHHIIiiII", size, 8, 8, 1, bits, compression, 0, 0, 0, 0, 0)
    body = struct.pack(f"<{len(masks)}I", *masks)
    return b"BM" + struct.pack("<IHHI", 1000, 0, 0, 200) + (header + body).ljust(size + 16, b"\0") + bytes(1000)


def raw_of(**tags: int) -> bytes:
    numbers = {int(name.removeprefix("tag")): (value,) for name, value in tags.items()}
    return write_tiff(SAMPLES, Layout(tags=numbers))


FOREIGN = {
    "a JPEG XL picture": [b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "],
    "a JPEG 2000 picture": [encode(PICTURE, "JPEG2000"), encode(PICTURE, "JPEG2000", no_jp2=True)],
    "a JPEG XR picture": [b"II\xbc\x01\x20\0\0\0"],
    "a JPEG-LS picture": [jpeg_of(0xF7, 8)],
    "a JPEG with 12 bits a sample": [jpeg_of(0xC0, 12), jpeg_of(0xC1, 12), jpeg_of(0xC2, 12, 1)],
    "a lossless JPEG with 16 bits a sample": [jpeg_of(0xC3, 16)],
    "a JPEG with 2 channels": [jpeg_of(0xC0, 8, 2)],
    "a camera's raw picture (CR2)": [b"II*\0\x10\0\0\0CR\x02\0" + bytes(50)],
    "a camera's raw picture (CR3)": [boxes(b"crx ")],
    "a camera's raw picture (RAF)": [b"FUJIFILMCCD-RAW 0201"],
    "a camera's raw picture (ORF)": [b"IIRO\x08\0\0\0", b"IIRS\x08\0\0\0", b"MMOR\0\0\0\x08"],
    "a camera's raw picture (RW2)": [b"IIU\0\x18\0\0\0"],
    "a camera's raw picture (DNG, NEF, ARW or similar)": [
        *(raw_of(tag50706=257), raw_of(tag254=1, tag330=8), raw_of(tag262=32803), raw_of(tag262=34892)),
    ],
    "a HEIF picture that is not encoded with HEVC": [boxes(b"avci"), boxes(b"j2ki")],
    "a video (MP4 or MOV)": [boxes(b"isom"), boxes(b"mp42"), boxes(b"qt  "), b"\0\0\0\x08wide\0\0\0\0mdat"],
    "a video (AVI)": [b"RIFF\0\x10\0\0AVI LIST"],
    "a PDF document": [b"%PDF-1.7\n"],
    "a PostScript file (EPS)": [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6" + bytes(30)],
    "a Photoshop file (PSD)": [b"8BPS\0\x01" + bytes(20)],
    "an icon (ICO)": [encode(PICTURE, "ICO")],
    "an icon (ICNS)": [b"icns\0\0\x01\0"],
    "a DirectDraw texture (DDS)": [encode(PICTURE, "DDS")],
    "a portable pixmap (PNM)": [encode(PICTURE, "PPM")],
    "a ZIP archive or an Office document": [archive()],
    "a compressed archive": [b"\x1f\x8b\x08\0", b"7z\xbc\xaf\x27\x1c"],
    "an SVG drawing": [
        *(b'<svg xmlns="http://www.w3.org/2000/svg"/>', b'<?xml version="1.0"?>\n<!-- x -->\n<svg width="1"/>'),
        *(b"\xef\xbb\xbf\n<svg>", b'<!DOCTYPE svg PUBLIC "x">\n<svg>'),
    ],
    "a web page (HTML)": [b"<html><body>404</body></html>", b"\n<!DOCTYPE HTML>\n<html>", b"<!-- x --><html>"],
    "an XML document": [b'<?xml version="1.0"?><x/>'],
    "a BMP with 2 bits a pixel": [bmp_of(40, 2)],
    "a BMP with an unusual order of color bits": [
        *(bmp_of(108, 16, 3, (0xF00, 0xF0, 0xF, 0xF000)), bmp_of(56, 32, 3, (0x3FF, 0xFFC00, 0x3FF00000, 0xC0000000))),
        bmp_of(40, 16, 3, (0x1F, 0x7E0, 0xF800)),
    ],
    "a BMP with a JPEG or RLE24 in it": [bmp_of(40, 24, 4)],
    "a BMP with a PNG in it": [bmp_of(40, 24, 5)],
    "a BMP with a header of 16 bytes": [bmp_of(16, 24)],
    "a big-endian BigTIFF": [write_tiff(SAMPLES, Layout(big_endian=True, big_tiff=True))],
    "a TIFF with 1 sample of 10 bits a pixel": [write_tiff(SAMPLES, Layout(bits=10))],
    "a TIFF with 1 sample of 14 bits a pixel": [write_tiff(SAMPLES, Layout(bits=14, big_endian=True))],
    "a TIFF with 1 sample of 24 bits a pixel": [write_tiff(SAMPLES, Layout(bits=24))],
    "a TIFF with 3 samples of 12 bits a pixel": [write_tiff(COLORS, Layout(bits=12, photometric=2))],
    "a TIFF with 1 signed sample of 8 bits a pixel": [write_tiff(SAMPLES.astype(np.int8))],
    "a TIFF with 1 float sample of 16 bits a pixel": [write_tiff(SAMPLES.astype(np.float16))],
    "a TIFF with 1 float sample of 64 bits a pixel": [write_tiff(SAMPLES.astype(np.float64))],
    "a TIFF with 3 float samples of 32 bits a pixel": [write_tiff(COLORS.astype(np.float32), Layout(photometric=2))],
    "a TIFF with 3 samples of 16 bits a pixel": [write_tiff(COLORS.astype(np.uint16), Layout(photometric=6))],
    "a TIFF with 2 samples of 16 bits a pixel": [
        write_tiff(COLORS[..., :2].astype(np.uint16), Layout(tags={338: (2,)}))
    ],
    "a TIFF with 2 planes": [write_tiff(COLORS[..., :2], Layout(planar=True, tags={338: (1,)}))],
    "a TIFF with Lab colors": [write_tiff(COLORS, Layout(photometric=8)), write_tiff(COLORS, Layout(photometric=9))],
    "a TIFF with other inks than CMYK": [
        write_tiff(COLORS[..., [0, 1, 2, 0]], Layout(photometric=5, tags={332: (2,)}))
    ],
    "a TIFF with no palette": [write_tiff(SAMPLES, Layout(photometric=3))],
    "a TIFF with no tag for its colors": [write_tiff(SAMPLES, Layout(without=(262,)))],
    "a TIFF with no strips, or too many": [write_tiff(SAMPLES, Layout(without=(273,)))],
    "a TIFF with compression 34712": [write_tiff(SAMPLES, Layout(tags={259: (34712,)}))],
    "a TIFF with compression 50001": [write_tiff(SAMPLES, Layout(tags={259: (50001,)}))],
    "a TIFF with a 12-bit JPEG in it": [write_tiff(SAMPLES, Layout(bits=12, tags={259: (7,)}))],
}
CASES = [(name, data) for name, files in FOREIGN.items() for data in files]


@pytest.mark.parametrize(("name", "data"), CASES, ids=[name for name, _ in CASES])
@pytest.mark.parametrize(
    "open_file", [inspect_picture, lambda data: open_picture(cleaned(data))], ids=["API", "worker"]
)
def test_a_file_that_is_not_accepted_is_named(open_file: Callable[[bytes], object], name: str, data: bytes) -> None:
    expected = f"This is {name}, which is not accepted. Send a {NAMES} file."
    with pytest.raises(UnsupportedPicture, match=f"^{re.escape(expected)}$"):
        open_file(data)


@pytest.mark.parametrize("kind", [*KINDS, "HEIC"])
def test_accepted_formats_are_distinguished_from_others(kind: str) -> None:
    data = TRAFFIC_LIGHT_HEIC.read_bytes() if kind == "HEIC" else KINDS[kind](PICTURE)
    assert accepted_format(data) == kind.partition(",")[0]
    assert foreign_format(data) == ""


def test_every_accepted_format_has_a_signature() -> None:
    assert {accepted_format(KINDS[kind](PICTURE)) for kind in KINDS} | {"HEIC"} == {each.name for each in FORMATS}
