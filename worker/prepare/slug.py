"""Makes readable names that are safe as folder names."""

import re

_LONGEST = 100


def slug(text: str) -> str:
    """Replace all but letters, digits, `_` and `.` by single dashes; return `model` if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text)[:_LONGEST].strip("-.") or "model"
