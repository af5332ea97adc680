"""Pictures that are fine but turned, and files that are two things at once or not what they are called."""

import io
import struct
import zipfile
from collections.abc import Iterator

from PIL import ExifTags, Image

from tests.hostile.case import FAILED, REFUSED, SUCCEEDED, Case, given
from tests.support.pictures import TRAFFIC_LIGHT, encode, encode_turned, png_chunk

ANSWERED, IN_NO_WAY = frozenset({SUCCEEDED}), frozenset({REFUSED, FAILED})
LABEL = "traffic light"
TURNED = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 90, "speed": 10},
}
SCRIPT = b"<script>alert(1)</script>"


def drawing() -> Image.Image:
    """Return the example, of which the label is known."""
    with Image.open(TRAFFIC_LIGHT) as image:
        return image.convert("RGB")


def turned() -> Iterator[Case]:
    """Yield every EXIF orientation there is, and some that there are not."""
    picture = drawing()
    for name, options in TURNED.items():
        for orientation in range(1, 9):
            data = encode_turned(picture, orientation, name, **options)
            yield Case(name, f"EXIF orientation {orientation}", given(data), ANSWERED, label=LABEL)
        for orientation in (0, 9, 65_535):
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            data = encode(picture, name, exif=exif, **options)
            yield Case(name, f"EXIF orientation {orientation}", given(data), ANSWERED, label=LABEL)


def polyglots() -> Iterator[Case]:
    """Yield files that are a picture and something else."""
    jpeg, png = encode(drawing(), "JPEG", quality=95), encode(drawing(), "PNG")
    gif = encode(drawing().quantize(256), "GIF")
    bmp = encode(drawing(), "BMP")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.html", SCRIPT)
    zipped = archive.getvalue()
    comment = b"\xff\xfe" + struct.pack(">H", len(SCRIPT) + 2) + SCRIPT
    files = {
        ("JPEG", "a ZIP behind it"): jpeg + zipped,
        ("JPEG", "a script in a comment"): jpeg[:2] + comment + jpeg[2:],
        ("JPEG", "a PNG behind it"): jpeg + png,
        ("PNG", "a ZIP behind it"): png + zipped,
        ("PNG", "a script in a text"): png[:33] + png_chunk(b"tEXt", b"k\0" + SCRIPT) + png[33:],
        ("PNG", "a PDF behind it"): png + b"%PDF-1.7\n",
        ("GIF", "a script behind it"): gif + b"/*" + SCRIPT + b"*/",
        ("BMP", "a script behind it"): bmp + SCRIPT,
    }
    for (name, what), data in files.items():
        yield Case(name, what, given(data), ANSWERED, label=LABEL)
    others = {
        "a ZIP with a JPEG behind it": zipped + jpeg,
        "a PDF with a JPEG in it": b"%PDF-1.7\nstream\n" + jpeg,
        "a script with a PNG behind it": SCRIPT + png,
        "SVG with a JPEG in it": b'<svg xmlns="http://www.w3.org/2000/svg">' + jpeg + b"</svg>",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + jpeg,
        "a playlist": b"#EXTM3U\nfile:///etc/passwd\n",
        "a portable pixmap": encode(drawing(), "PPM"),
        "an icon": encode(drawing(), "ICO"),
        "a JPEG 2000 signature": b"\0\0\0\x0cjP  \r\n\x87\n" + jpeg,
    }
    for what, data in others.items():
        yield Case("none", what, given(data), frozenset({REFUSED}))


def lies() -> Iterator[Case]:
    """Yield pictures under wrong names and types: the bytes decide."""
    files = {name: encode(drawing(), name) for name in ("JPEG", "PNG", "WEBP", "TIFF")}
    for name, data in files.items():
        for claim, claimed_type in (
            *(("x.txt", "text/plain"), ("x.html", "text/html"), ("x.php", "application/x-php")),
            *(("x.gif", "image/gif"), ("../../etc/passwd", ""), ("x" * 250, "image/svg+xml")),
        ):
            yield Case(
                name, f"as {claim[:20]}, {claimed_type}", given(data), ANSWERED, claim, claimed_type, label=LABEL
            )
        for claimed_type in ("image/gif", "image/svg+xml", "image/nonsense", "text/plain"):
            yield Case(
                name,
                f"as a body of {claimed_type}",
                given(data),
                ANSWERED,
                content_type=claimed_type,
                raw=True,
                label=LABEL,
            )
    for what, data in {"a text": b"This is no picture.", "a program": b"\x7fELF" + bytes(200)}.items():
        yield Case("none", f"{what} as a JPEG", given(data), frozenset({REFUSED}), "x.jpg", "image/jpeg")
