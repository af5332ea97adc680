"""Pictures of simulated clients: a header that the product accepts, and a name that the simulated model reads."""

import struct

NAME_BYTES = 32
_PIXEL = b"\0" * 4
_HEADER_BYTES = 54
_BITMAP = b"BM" + struct.pack("<IHHI", _HEADER_BYTES + len(_PIXEL), 0, 0, _HEADER_BYTES)
_HEADER = _BITMAP + struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 24, 0, len(_PIXEL), 0, 0, 0, 0)
PICTURE_BYTES = _HEADER_BYTES + len(_PIXEL) + NAME_BYTES


def make_picture(name: str) -> bytes:
    """Return a picture of PICTURE_BYTES bytes with this name, of at most NAME_BYTES bytes in ASCII."""
    return _HEADER + _PIXEL + name.encode().rjust(NAME_BYTES, b"\0")


def name_in(picture: bytes) -> str:
    """Return the name of a picture."""
    return picture.rpartition(b"\0")[2].decode()
