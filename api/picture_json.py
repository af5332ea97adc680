"""Reads the picture from a JSON body."""

import base64
import codecs
import json

from flask import Request

from api.native_threads import run_natively
from api.picture_body import FIELD, PictureBody, whole_body
from shared.errors import BadRequest, NoPicture

# Limit for the values of the document: a body of `[{},{},…` would take twenty times its size.
MOST_VALUES = 1000
HOW = f'Send `{{"{FIELD}": "<the bytes of the picture in base64>"}}`.'
NOT_BASE64 = f"`{FIELD}` is not base64. {HOW}"
# From the URL-safe alphabet.
TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
WHITESPACE = b" \t\r\n"
# Longer documents are decoded in a native thread.
QUICK_CHARACTERS = 1024 * 1024


def read_json(request: Request, most_bytes: int) -> PictureBody:
    """Return the picture in the member `image` of a JSON object; all other members are ignored.

    It is base64 in the standard or the URL-safe alphabet, with or without padding and line breaks, or a `data:` URL.

    Raises:
        NoPicture: the member is missing or no text.
        BadRequest: the body is not JSON, or the member is not base64.
        RequestEntityTooLarge: the body is too large.
    """
    # Some shells write a byte order mark.
    data = whole_body(request, most_bytes).removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise NoPicture(f"The body is empty. {HOW}")
    # Latin-1 keeps one byte per character; those beyond ASCII do not matter.
    text = data.decode("latin-1")
    del data
    return PictureBody(_picture(text) if len(text) <= QUICK_CHARACTERS else run_natively(_picture, text))


def _picture(text: str) -> bytes:
    # No step keeps the result of the one before, as each is as large as the body.
    return _decoded(_encoded(_member(text)))


def _member(text: str) -> str:
    # Counting brackets and commas is the cheapest upper bound.
    if sum(map(text.count, "[{,")) > MOST_VALUES:
        raise BadRequest(f"The JSON has too many values. {HOW}")
    try:
        # Not strict: shells put line breaks into strings unescaped.
        document = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        raise BadRequest(f"The body is not valid JSON. {HOW}") from None
    value = document.get(FIELD) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise NoPicture(f"No image provided: the JSON has no string `{FIELD}`. {HOW}")
    return value


def _encoded(value: str) -> bytes:
    """Return the base64 in the text, in the standard alphabet, without whitespace and with padding."""
    if value[:5].lower() == "data:":
        value = value.partition(",")[2]
    try:
        encoded = value.encode("ascii")
    except UnicodeEncodeError:
        raise BadRequest(NOT_BASE64) from None
    del value
    encoded = encoded.translate(TO_STANDARD_ALPHABET, WHITESPACE)
    return encoded.ljust(-(-len(encoded) // 4) * 4, b"=")


def _decoded(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise BadRequest(NOT_BASE64) from None
