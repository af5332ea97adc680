"""Reads the picture from a multipart form."""

import re
from collections.abc import Iterator
from io import BytesIO

from flask import Request
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser

from api.picture_body import FIELD, NO_PICTURE, PictureBody
from shared.errors import BadRequest, NoPicture

# As a parameter of `Content-Disposition`; the parser does not know `filename*`.
FILE_NAME = re.compile(r";\s*filename\*?\s*=", re.IGNORECASE)
MOST_PARTS = 10
# Limit for one header of a part: file names may be long.
MOST_HEADER_BYTES = 16 * 1024
# Limit for a field name of the client in an error message.
MOST_NAME_LENGTH = 50
NO_BOUNDARY = "The `Content-Type` of the form has no boundary. Let your HTTP library set this header."
SEVERAL_PICTURES = f"The form has several pictures in `{FIELD}`; send one picture per request."
TEXT_IN_FIELD = (
    f'The field `{FIELD}` has text instead of a picture. Send a file in it; with curl: `-F "{FIELD}=@photo.jpg"`, with '
    "the `@`."
)


def read_form(request: Request) -> PictureBody:
    """Return the content of the field `image`, with or without a file name; all other fields are ignored.

    The parser used here takes a tenth of the time of Flask's `request.files` (docs/decisions/0008).

    Raises:
        NoPicture: there is no such field, or it is empty and another one has a file.
        BadRequest: the form cannot be read, or has several pictures.
        RequestEntityTooLarge: the body is too large.
    """
    form = _Form()
    for event in parse_form(request, MOST_PARTS):
        if isinstance(event, MultipartSegment):
            form.begin(event)
        elif event:
            form.add(event)
    return form.picture()


def parse_form(request: Request, most_parts: int) -> Iterator[MultipartSegment | bytes | bytearray | None]:
    """Yield each part of the form, then its content piece by piece, then None.

    Raises:
        BadRequest: the form cannot be read.
        RequestEntityTooLarge: the body is too large.
    """
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise BadRequest(NO_BOUNDARY)
    try:
        # Latin-1 can decode every file name, whatever its encoding; the name is ignored.
        with PushMultipartParser(
            boundary,
            max_segment_count=most_parts,
            max_header_size=MOST_HEADER_BYTES,
            header_charset="latin-1",
        ) as parser:
            yield from parser.parse_blocking(request.stream.read)
    except MultipartError as error:
        # The parser keeps the error. Without this, the error would keep all local variables, with the body, until a
        # garbage collection.
        error.__traceback__ = None
        raise BadRequest(f"The form cannot be read: {_reason(error, most_parts)}.") from None


class _Form:
    """The part with the picture, and what else a message to the client needs; empty parts do not count."""

    def __init__(self) -> None:
        self._has_field = False
        self._part: MultipartSegment
        self._picture: MultipartSegment | None = None
        self._other_file: MultipartSegment | None = None
        # Unlike a list of pieces that is joined in the end, it holds the picture once.
        self._data = BytesIO()

    def begin(self, part: MultipartSegment) -> None:
        self._part = part
        self._has_field = self._has_field or part.name == FIELD

    def add(self, data: bytes | bytearray) -> None:
        part = self._part
        if part.name != FIELD:
            if self._other_file is None and _is_file(part):
                self._other_file = part
            return
        self._picture = self._picture or part
        if self._picture is not part:
            raise BadRequest(SEVERAL_PICTURES)
        self._data.write(data)

    def picture(self) -> PictureBody:
        if self._picture:
            return PictureBody(self._data.getvalue(), "" if _is_file(self._picture) else TEXT_IN_FIELD)
        if self._other_file:
            raise NoPicture(f"The form has a file in {_shown(self._other_file.name)}; send it in `{FIELD}`.")
        if self._has_field:
            return PictureBody(b"")
        raise NoPicture(NO_PICTURE)


def _reason(error: MultipartError, most_parts: int) -> str:
    if isinstance(error, ParserLimitReached):
        kibibytes = MOST_HEADER_BYTES // 1024
        return f"it has more than {most_parts} fields, or a field with more than {kibibytes} KiB of headers"
    # The first argument is the message; further arguments repeat parts of the body.
    reason = str(error.args[0])
    if reason.startswith("Unexpected end"):
        return "it is cut off, or its boundary is not the one in the `Content-Type`"
    return reason


def _is_file(part: MultipartSegment) -> bool:
    """Whether the client sent the part as a file: with a file name or a type that is not text."""
    return bool(FILE_NAME.search(part["Content-Disposition"])) or (part.content_type or "text/plain") != "text/plain"


def decoded_name(name: str | None) -> str:
    """Return the name of a field or a file, decoded from UTF-8, which is what nearly all clients send."""
    return (name or "").encode("latin-1").decode(errors="replace")


def _shown(name: str | None) -> str:
    """Return a field name for a message."""
    text = decoded_name(name)[:MOST_NAME_LENGTH]
    return f"`{text}`" if text else "a field without a name"
