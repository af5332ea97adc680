"""Writes the pictures of a request to a batch as a multipart form."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

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
    files = [(FIELD, (each.name, each.data, "application/octet-stream")) for each in pictures]
    # The address is not used: httpx writes forms only as a part of requests.
    request = httpx.Request("POST", "http://service", files=files)
    digests = [[each.name, hashlib.sha256(each.data).hexdigest()] for each in pictures]
    key = hashlib.sha256(json.dumps([salt, digests]).encode()).hexdigest()
    return BatchForm(request.read(), request.headers["Content-Type"], key)


def sendable(name: str) -> str:
    """Return a name as the service can keep it: bytes of a path that are not UTF-8 are replaced."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", name)[:MOST_NAME_LENGTH]
