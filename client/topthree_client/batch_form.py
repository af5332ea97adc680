"""Writes the pictures of a request to a batch as a multipart form."""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

FIELD = "image"
# The service cuts longer names.
MOST_NAME_LENGTH = 1024
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class NamedBytes:
    """A picture and the name that it has in the batch."""

    name: str
    data: bytes


@dataclass(frozen=True)
class BatchForm:
    """The body of a request, its content type, and an idempotency key."""

    body: bytes
    content_type: str
    key: str


def batch_form(pictures: Sequence[NamedBytes], salt: str) -> BatchForm:
    """Return the form; its key depends on the salt, the names and the bytes, which the key does not reveal."""
    boundary = secrets.token_hex(16).encode()
    parts = [b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, _header(each.name), each.data) for each in pictures]
    body = b"".join([*parts, b"--%b--\r\n" % boundary])
    digests = [[each.name, hashlib.sha256(each.data).hexdigest()] for each in pictures]
    key = hashlib.sha256(json.dumps([salt, digests]).encode()).hexdigest()
    return BatchForm(body, f"multipart/form-data; boundary={boundary.decode()}", key)


def _header(name: str) -> bytes:
    # Not httpx's forms: they have no way to write a backslash, a tab or `%0A` that is read as the same name again.
    shown = f"; filename*=UTF-8''{quote(name, safe='')}" if name else ""
    return f'Content-Disposition: form-data; name="{FIELD}"{shown}'.encode()


def sendable(name: str) -> str:
    """Return a name as the service can keep it: bytes of a path that are not UTF-8 are replaced."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", name)[:MOST_NAME_LENGTH]
