"""Reads and checks the uploaded picture: its bytes and its image header. No pixels are decoded."""

from dataclasses import dataclass

from flask import Request
from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.exceptions import RequestEntityTooLarge

from api.auth import current_owner
from api.native_threads import inspect_uploaded
from shared.errors import BadRequest, NoPicture, PictureTooLarge
from shared.jobs.admission import MAX_TOP, JobRequest
from shared.log import current_request_id

FIELD = "image"
DEFAULT_TOP = 3
# One day: no client waits longer for a job to start.
MAX_DEADLINE_SECONDS = 24 * 3600
MAX_DIGITS = 9
MAX_KEY_LENGTH = 255
MOST_PARTS = 10
# How many bytes a multipart body may have besides the picture: boundaries, names, headers, other fields.
MULTIPART_ALLOWANCE_BYTES = 16 * 1024


@dataclass(frozen=True)
class UploadLimits:
    """The largest accepted picture: bytes, and pixels (width times height)."""

    max_image_bytes: int
    max_image_pixels: int

    @property
    def max_body_bytes(self) -> int:
        """The largest request body that can hold the largest picture."""
        return self.max_image_bytes + MULTIPART_ALLOWANCE_BYTES


@dataclass(frozen=True)
class Upload:
    """A picture that passed the checks: its bytes, and the request for a job."""

    data: bytes
    request: JobRequest


def read_upload(request: Request, limits: UploadLimits) -> Upload:
    """Read and check the upload in `request`.

    Raises:
        NoPicture: no file, a wrong field name or an empty file.
        BadRequest: `top` or `deadline` is out of range.
        PictureTooLarge: too many bytes or pixels, or too many other bytes in the multipart body.
        UnsupportedPicture: not a picture of an accepted format.
    """
    if (request.content_length or 0) > limits.max_body_bytes:
        raise RequestEntityTooLarge
    top = _read_number(request, "top", DEFAULT_TOP, MAX_TOP)
    deadline_seconds = _read_number(request, "deadline", 0, MAX_DEADLINE_SECONDS)
    data = _read_bytes(request)
    if len(data) > limits.max_image_bytes:
        raise PictureTooLarge(f"The picture has {len(data)} bytes; at most {limits.max_image_bytes} are accepted.")
    picture = inspect_uploaded(data)
    if picture.width * picture.height > limits.max_image_pixels:
        raise PictureTooLarge(
            f"The picture has {picture.width} x {picture.height} pixels; "
            f"at most {limits.max_image_pixels} in all are accepted."
        )
    return Upload(data, JobRequest(picture, top, deadline_seconds, current_owner(), current_request_id()))


def read_idempotency_key(request: Request) -> str:
    """Return the `Idempotency-Key` header, "" if there is none; BadRequest if it is too long."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > MAX_KEY_LENGTH:
        raise BadRequest(f"`Idempotency-Key` may have at most {MAX_KEY_LENGTH} characters.")
    return key


def _read_number(request: Request, name: str, default: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    # int() raises ValueError for numbers with thousands of digits.
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
    if not 1 <= number <= most:
        raise BadRequest(f"`{name}` must be a whole number from 1 to {most}.")
    return number


def _read_bytes(request: Request) -> bytes:
    """Return the raw body of an `image/*` request, else the file in the multipart field."""
    data: bytes
    if request.mimetype.startswith("image/"):
        data = request.get_data(cache=False)
        if not data:
            raise NoPicture("The body is empty: send the bytes of a picture.")
        return data
    chunks = _read_file(request)
    if chunks is None:
        # The original program's message, and what to do.
        raise NoPicture(f"No image provided: send a file in the multipart field `{FIELD}`, or the bytes as `image/*`.")
    data = b"".join(chunks)
    if not data:
        raise NoPicture("The picture is empty.")
    return data


def _read_file(request: Request) -> list[bytes] | None:
    """Return the first file in the multipart field, None if there is none; raises as `read_upload`.

    The file name and all other fields are ignored. The parser used here takes a tenth of the time of Flask's
    `request.files` (docs/decisions/0008).
    """
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        return None
    found: list[bytes] | None = None
    beside_bytes, is_wanted = 0, False
    try:
        with PushMultipartParser(boundary, max_segment_count=MOST_PARTS) as parser:
            for event in parser.parse_blocking(request.stream.read):
                if isinstance(event, MultipartSegment):
                    is_wanted = found is None and event.name == FIELD and event.filename is not None
                    found = [] if is_wanted else found
                elif event and is_wanted and found is not None:
                    found.append(bytes(event))
                elif event:
                    beside_bytes += len(event)
                    _check_beside(beside_bytes)
    except MultipartError as error:
        # The first argument is the message; further arguments repeat parts of the body.
        raise BadRequest(f"The multipart body cannot be read: {error.args[0]}.") from None
    return found


def _check_beside(count: int) -> None:
    if count > MULTIPART_ALLOWANCE_BYTES:
        raise PictureTooLarge(f"Beside the picture at most {MULTIPART_ALLOWANCE_BYTES} bytes are accepted.")
