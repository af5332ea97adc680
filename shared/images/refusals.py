"""Says why a file is refused: which format it has, and what is wrong with it."""

import io

from shared.images.bmp import unsupported_bmp
from shared.images.declared_length import is_cut_off
from shared.images.formats import CUT_OFF, DAMAGED, NAMES, UNREADABLE
from shared.images.jpeg import unsupported_jpeg
from shared.images.signatures import accepted_format, foreign_format
from shared.images.tiff import read_tags, unknown_tiff, unsupported_tiff


def not_accepted(kind: str) -> str:
    """Return the message for a file of a known kind, such as "a PDF document"."""
    return f"This is {kind}, which is not accepted. Send a {NAMES} file."


def refusal(file: io.BytesIO, problem: str = DAMAGED) -> str:
    """Return the message for a file that Pillow cannot open; `problem` if its kind is accepted."""
    data = file.getvalue()
    name = accepted_format(data)
    kind = foreign_format(data)
    if not kind and is_cut_off(name, data):
        return CUT_OFF.format(name)
    kind = kind or _unsupported_variant(name, file, problem)
    if kind:
        return not_accepted(kind)
    return problem.format(name) if name else UNREADABLE


def _unsupported_variant(name: str, file: io.BytesIO, problem: str) -> str:
    """Describe a file of an accepted format, if it is a variant that is not read; else ""."""
    try:
        match name:
            case "JPEG":
                return unsupported_jpeg(file.getvalue())
            case "BMP":
                return unsupported_bmp(file.getvalue())
            case "TIFF" if problem == DAMAGED:
                tags = read_tags(file)
                return unsupported_tiff(tags) or unknown_tiff(tags)
    except Exception:  # Pillow raises many kinds of errors on broken tags
        return ""
    return ""
