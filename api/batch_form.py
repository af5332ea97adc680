"""Reads the pictures of a batch from a multipart form."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from flask import Request
from multipart import MultipartSegment
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header

from api.picture_body import FIELD, PictureBody
from api.picture_form import MOST_PARTS, decoded_name, parse_form
from shared.errors import BadRequest, NoPicture, PictureTooLarge, UnsupportedPicture
from shared.settings import MEBIBYTE

MOST_PICTURES = 100
MOST_BYTES = 64 * MEBIBYTE
# Longer names are cut.
MOST_NAME_LENGTH = 1024
NO_FORM = f"Send the pictures as `multipart/form-data`, each as a file in a field `{FIELD}`."
NO_PICTURES = f"The form has no pictures: send each as a file in a field `{FIELD}`."
TOO_MANY = f"The form has more than {MOST_PICTURES} pictures. Send the others in another request."
TOO_LARGE = f"The request is too large: at most {MOST_BYTES // MEBIBYTE} MiB are accepted. Send fewer pictures at once."


@dataclass(frozen=True)
class NamedPicture:
    """A picture in a form, and the name of its file, "" without one."""

    name: str
    body: PictureBody


@contextmanager
def received_pictures(request: Request, max_image_bytes: int) -> Iterator[list[NamedPicture]]:
    """Read the form as `read_pictures` does; the server limits the memory of bodies until the block ends."""
    try:
        yield read_pictures(request, max_image_bytes)
    finally:
        request.environ["wsgi.input"].close()


def read_pictures(request: Request, max_image_bytes: int) -> list[NamedPicture]:
    """Return the pictures in the order of the form, each only up to one byte more than allowed.

    Raises:
        UnsupportedPicture: the body is no form.
        NoPicture: it has no pictures.
        BadRequest: it has too many pictures, or cannot be read.
        PictureTooLarge: all of it is too large.
    """
    if request.mimetype != "multipart/form-data" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedPicture(NO_FORM)
    # One byte more than allowed: at its limit werkzeug ends a body without a length as if it were complete.
    request.max_content_length = MOST_BYTES + 1
    form = _Form(max_image_bytes)
    try:
        for event in parse_form(request, MOST_PICTURES + MOST_PARTS):
            if isinstance(event, MultipartSegment):
                form.begin(event)
            elif event:
                form.add(event)
    except RequestEntityTooLarge:
        raise PictureTooLarge(TOO_LARGE) from None
    if form.received_bytes > MOST_BYTES:
        raise PictureTooLarge(TOO_LARGE)
    if not form.pictures:
        raise NoPicture(NO_PICTURES)
    return form.pictures


class _Form:
    """The pictures of a form; all fields but FIELD are ignored."""

    def __init__(self, max_image_bytes: int) -> None:
        self._max_image_bytes = max_image_bytes
        self._part: MultipartSegment | None = None
        self._data = BytesIO()
        self._pictures: list[NamedPicture] = []
        self.received_bytes = 0

    @property
    def pictures(self) -> list[NamedPicture]:
        self._end()
        return self._pictures

    def begin(self, part: MultipartSegment) -> None:
        self._end()
        if part.name == FIELD:
            if len(self._pictures) == MOST_PICTURES:
                raise BadRequest(TOO_MANY)
            self._part = part

    def add(self, data: bytes | bytearray) -> None:
        self.received_bytes += len(data)
        # The rest of a picture that is too large need not be kept.
        if self._part is not None and self._data.tell() <= self._max_image_bytes:
            self._data.write(data)

    def _end(self) -> None:
        if self._part is not None:
            name = _name_of(self._part)[:MOST_NAME_LENGTH]
            self._pictures.append(NamedPicture(name, PictureBody(self._data.getvalue())))
            self._part, self._data = None, BytesIO()


def _name_of(part: MultipartSegment) -> str:
    if part.filename is not None:
        return decoded_name(part.filename)
    # Some clients send only `filename*` (RFC 5987) for names that are not ASCII.
    _, options = parse_options_header(part.header("Content-Disposition"))
    return options.get("filename", "")
