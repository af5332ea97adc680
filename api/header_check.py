"""Checks the header of an uploaded picture without blocking the loop."""

from api.native_threads import run_natively
from shared.images.inspect import inspect_picture
from shared.jobs.models import ImageInfo

# JPEG, PNG and WebP of this size take less than 60 ms, however hostile. Other formats may take half a second, and a PNG
# with compressed chunks a third.
QUICK_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"RIFF")
COMPRESSED_CHUNKS = (b"iCCP", b"zTXt", b"iTXt")
QUICK_BYTES = 256 * 1024


def check_header(data: bytes) -> ImageInfo:
    """Do as `inspect_picture` does, in a native thread if that may take long."""
    return inspect_picture(data) if _is_quick(data) else run_natively(inspect_picture, data)


def _is_quick(data: bytes) -> bool:
    return (
        len(data) <= QUICK_BYTES
        and data.startswith(QUICK_STARTS)
        and not any(chunk in data for chunk in COMPRESSED_CHUNKS)
    )
