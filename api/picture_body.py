"""The bytes that a request sends as a picture, before they are checked."""

from dataclasses import dataclass

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

# The field of a form and the member of a JSON body that holds the picture.
FIELD = "image"
# The original program's message, and what to do.
NO_PICTURE = (
    f"No image provided: send a file in the form field `{FIELD}`, the bytes of a picture as the body, or JSON with its "
    "bytes in base64."
)


@dataclass(frozen=True)
class PictureBody:
    """The bytes, and what the client may have done wrong if they turn out to be no picture; "" if that is unknown."""

    data: bytes
    hint: str = ""


def whole_body(request: Request, most_bytes: int) -> bytes:
    """Return the body; RequestEntityTooLarge if it has more bytes."""
    # One byte more than allowed: at its limit werkzeug ends a body without a length as if it were complete.
    request.max_content_length = most_bytes + 1
    data = request.get_data(cache=False)
    if len(data) > most_bytes:
        raise RequestEntityTooLarge
    return data
