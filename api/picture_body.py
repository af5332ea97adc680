"""The bytes that a request sends as a picture, before they are checked."""

from dataclasses import dataclass

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
