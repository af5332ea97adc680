"""Reads and checks the uploaded picture: its bytes and its image header. No pixels are decoded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from api.auth import current_owner
from api.header_check import check_header
from api.picture_body import NO_PICTURE, PictureBody, whole_body
from api.picture_form import read_form
from api.picture_json import read_json
from api.webhook_rules import WebhookRules
from shared.errors import BadRequest, NoPicture, PictureTooLarge, UnsupportedPicture
from shared.jobs.admission import MAX_TOP, JobRequest
from shared.jobs.models import ImageInfo
from shared.log import current_request_id
from shared.settings import MEBIBYTE
from shared.tracing import current_traceparent

DEFAULT_TOP = 3
# One day: no client waits longer for a job to start.
MAX_DEADLINE_SECONDS = 24 * 3600
MAX_DIGITS = 9
DECIMAL = re.compile(r"-?[0-9]*\.?[0-9]*(e[-+]?[0-9]+)?", re.IGNORECASE)
MAX_DECIMAL_LENGTH = 32
MAX_KEY_LENGTH = 255
# How many bytes a body may always have beside the picture: boundaries, names, headers, other fields.
ALLOWANCE_BYTES = 16 * 1024
MEGAPIXEL = 1_000_000
URL_ENCODED = "application/x-www-form-urlencoded"
UNCOMPRESSED = "Send it as it is."
MAX_CODING_LENGTH = 20
JSON_TYPE_MISSING = "The body is JSON: send it with `Content-Type: application/json`."
# Also the default of curl's `--data-binary`, which is accepted, and of its `-d`, which removes bytes from the picture.
NO_FILE_IN_FORM = (
    'The body is not a picture. In an HTML form, set `enctype="multipart/form-data"`; with curl, send '
    '`-F "image=@photo.jpg"` or `--data-binary @photo.jpg`.'
)


@dataclass(frozen=True)
class UploadLimits:
    """The largest accepted picture: bytes, and pixels (width times height)."""

    max_image_bytes: int
    max_image_pixels: int

    @property
    def max_body_bytes(self) -> int:
        """The largest request body: base64 takes a third more than the picture, line breaks and escapes some more."""
        return self.max_image_bytes * 3 // 2 + ALLOWANCE_BYTES

    @property
    def too_many_bytes(self) -> str:
        """The message for a picture or a request body that is too large."""
        return f"The upload is too large: a picture may have at most {_rounded(self.max_image_bytes / MEBIBYTE)} MiB."

    def check_pixels(self, picture: ImageInfo) -> None:
        """Raise PictureTooLarge if the picture has too many pixels."""
        pixels = picture.width * picture.height
        if pixels > self.max_image_pixels:
            raise PictureTooLarge(
                f"This picture is {picture.width} × {picture.height} ({_rounded(pixels / MEGAPIXEL)} megapixels); "
                f"the limit is {_rounded(self.max_image_pixels / MEGAPIXEL)} megapixels."
            )


@dataclass(frozen=True)
class Upload:
    """A picture that passed the checks: its bytes, and the request for a job."""

    data: bytes
    request: JobRequest


@contextmanager
def received_upload(request: Request, limits: UploadLimits, webhooks: WebhookRules) -> Iterator[Upload]:
    """Read and check the upload as `read_upload` does; the server limits the memory of bodies until the block ends."""
    try:
        yield read_upload(request, limits, webhooks)
    finally:
        request.environ["wsgi.input"].close()


def read_upload(request: Request, limits: UploadLimits, webhooks: WebhookRules) -> Upload:
    """Read and check the upload in `request`.

    Raises:
        NoPicture: no picture, an empty one or one in a wrong field.
        BadRequest: the body cannot be read, `top`, `deadline` or `min_confidence` is out of range, or `webhook` cannot
            be used.
        PictureTooLarge: too many bytes or pixels.
        UnsupportedPicture: not a picture of an accepted format.
    """
    top = _read_number(request, "top", DEFAULT_TOP, MAX_TOP)
    deadline_seconds = _read_number(request, "deadline", 0, MAX_DEADLINE_SECONDS)
    min_confidence = _read_share(request, "min_confidence")
    webhook = request.args.get("webhook")
    if webhook is not None:
        webhooks.check(webhook)
    try:
        body = _read_body(request, limits)
    except RequestEntityTooLarge:
        raise PictureTooLarge(limits.too_many_bytes) from None
    return Upload(
        body.data,
        JobRequest(
            picture=check_picture(body, limits),
            top=top,
            deadline_seconds=deadline_seconds,
            owner=current_owner(),
            request_id=current_request_id(),
            traceparent=current_traceparent(),
            min_confidence=min_confidence,
            webhook=webhook or "",
        ),
    )


def check_picture(body: PictureBody, limits: UploadLimits) -> ImageInfo:
    """Return what the picture's header says.

    Raises:
        NoPicture, PictureTooLarge, UnsupportedPicture: as `read_upload`.
    """
    if not body.data:
        raise NoPicture("The picture is empty.")
    if len(body.data) > limits.max_image_bytes:
        raise PictureTooLarge(limits.too_many_bytes)
    picture = _inspect(body)
    limits.check_pixels(picture)
    return picture


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


def _read_share(request: Request, name: str) -> float:
    text = request.args.get(name, "0")
    try:
        share = float(text) if len(text) <= MAX_DECIMAL_LENGTH and DECIMAL.fullmatch(text) else -1
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise BadRequest(f"`{name}` must be a number from 0 to 1, such as 0.25.")
    return share


def _read_body(request: Request, limits: UploadLimits) -> PictureBody:
    """Return the picture in a form, in JSON, or the body itself: of any type, as many clients set none or a wrong one.

    RequestEntityTooLarge before more of the body is read than may be necessary.
    """
    coding = request.headers.get("Content-Encoding", "")
    if coding not in ("", "identity"):
        raise UnsupportedPicture(
            f"The body is compressed (`Content-Encoding: {coding[:MAX_CODING_LENGTH]}`). {UNCOMPRESSED}"
        )
    if request.mimetype == "multipart/form-data":
        return read_form(request)
    if request.is_json:
        return read_json(request, limits.max_body_bytes)
    data = whole_body(request, limits.max_image_bytes)
    if not data:
        raise NoPicture(f"The body is empty. {NO_PICTURE}")
    return PictureBody(data, _hint(data, request.mimetype))


def _hint(data: bytes, mimetype: str) -> str:
    if data.startswith(b"{"):
        return JSON_TYPE_MISSING
    # Fields of a form have no line breaks, and curl's `-d` removes those of a picture.
    return NO_FILE_IN_FORM if mimetype == URL_ENCODED and b"\n" not in data else ""


def _inspect(body: PictureBody) -> ImageInfo:
    try:
        return check_header(body.data)
    except UnsupportedPicture:
        if body.hint:
            raise NoPicture(body.hint) from None
        raise


def _rounded(number: float) -> str:
    return f"{number:,.2f}".rstrip("0").rstrip(".")
