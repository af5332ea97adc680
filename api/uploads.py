"""Takes the picture out of a request: its bytes, and what its header says. Nothing is decoded."""

from dataclasses import dataclass

from flask import Request

from shared.errors import BadRequest, NoPicture, PictureTooLarge
from shared.job import Picture
from shared.pictures import inspect_picture

FIELD = "image"
MIN_TOP, DEFAULT_TOP, MAX_TOP = 1, 3, 10
# What a multipart body may hold beside the picture: its boundaries, names and headers, in bytes.
MULTIPART_ALLOWANCE_BYTES = 16 * 1024


@dataclass(frozen=True)
class UploadLimits:
    """The largest picture: its bytes, and its width times height."""

    max_image_bytes: int
    max_image_pixels: int

    @property
    def max_body_bytes(self) -> int:
        """The largest request body that can hold such a picture."""
        return self.max_image_bytes + MULTIPART_ALLOWANCE_BYTES


@dataclass(frozen=True)
class Upload:
    """A picture that may be accepted, and how many labels are wanted."""

    data: bytes
    picture: Picture
    top: int


def read_upload(request: Request, limits: UploadLimits) -> Upload:
    """Read the upload in `request`.

    Raises:
        NoPicture: no file, a wrong field name or an empty file.
        BadRequest: `top` is not a number of 1 to 10.
        PictureTooLarge: too many bytes or pixels.
        UnsupportedPicture: not a picture of an accepted format.
    """
    top = _read_top(request)
    data = _read_bytes(request)
    if len(data) > limits.max_image_bytes:
        raise PictureTooLarge(f"The picture has {len(data)} bytes; at most {limits.max_image_bytes} are accepted.")
    picture = inspect_picture(data)
    if picture.width * picture.height > limits.max_image_pixels:
        raise PictureTooLarge(
            f"The picture has {picture.width} x {picture.height} pixels; "
            f"at most {limits.max_image_pixels} in all are accepted."
        )
    return Upload(data, picture, top)


def _read_top(request: Request) -> int:
    text = request.args.get("top", str(DEFAULT_TOP))
    if not (text.isascii() and text.isdigit() and MIN_TOP <= int(text[:3]) <= MAX_TOP):
        raise BadRequest(f"`top` must be a whole number from {MIN_TOP} to {MAX_TOP}.")
    return int(text)


def _read_bytes(request: Request) -> bytes:
    """Return the raw body of an `image/*` request, else the multipart field."""
    data: bytes
    if request.mimetype.startswith("image/"):
        data = request.get_data(cache=False)
        if not data:
            raise NoPicture("The body is empty: send the bytes of a picture.")
        return data
    file = request.files.get(FIELD)
    if file is None:
        # The original program's sentence, and what to do.
        raise NoPicture(f"No image provided: send a file in the multipart field `{FIELD}`, or the bytes as `image/*`.")
    data = file.read()
    if not data:
        raise NoPicture("The picture is empty.")
    return data
