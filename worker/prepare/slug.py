"""Names that are safe as a folder and pleasant to read."""

import re

_LONGEST = 100


def slug(text: str) -> str:
    """`text` with everything but letters, digits, `_` and `.` turned into single dashes; `model` if nothing is left."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text)[:_LONGEST].strip("-.") or "model"
