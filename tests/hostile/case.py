"""One file that is sent, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass

# What may come of a file: labels, a refusal of the upload, or a job that failed because of its picture.
SUCCEEDED, REFUSED, TOO_LARGE, FAILED = "succeeded", "refused", "too large", "failed"
ANY = frozenset({SUCCEEDED, REFUSED, TOO_LARGE, FAILED})


@dataclass(frozen=True)
class Case:
    """A file; its bytes are made when it is sent, as some have twenty megabytes."""

    format: str
    name: str
    make: Callable[[], bytes]
    expected: frozenset[str] = ANY
    file_name: str = "picture.jpg"
    content_type: str = "application/octet-stream"
    # Sent as the body itself, under its content type, and not in a form.
    raw: bool = False
    # The first label, where it is known.
    label: str = ""


def given(data: bytes) -> Callable[[], bytes]:
    """Return what makes these bytes."""
    return lambda: data
