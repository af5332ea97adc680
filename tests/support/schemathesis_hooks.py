"""What schemathesis is told about uploads: what a picture is, how many parts a form has, that a key is used once."""

import base64
from typing import Any

import schemathesis
from hypothesis import strategies
from PIL import Image

from api.picture_form import MOST_PARTS
from api.uploads import MAX_KEY_LENGTH
from shared.images.inspect import set_up_pillow
from tests.support.pictures import KINDS

set_up_pillow()
_used_keys: set[str] = set()


@strategies.composite
def pictures(draw: strategies.DrawFn) -> bytes:
    """Draw the bytes of a file of any accepted kind, small, of any colour."""
    kind = draw(strategies.sampled_from(sorted(KINDS)))
    size = draw(strategies.tuples(strategies.integers(8, 64), strategies.integers(8, 64)))
    colour = draw(strategies.tuples(*[strategies.integers(0, 255)] * 3))
    return KINDS[kind](Image.new("RGB", size, colour))


schemathesis.openapi.media_type("image/*", pictures())
schemathesis.openapi.media_type("application/octet-stream", pictures())
schemathesis.openapi.format("byte", pictures().map(lambda picture: base64.b64encode(picture).decode()))


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Leave forms out that make too many parts, one for each item of a list: a schema cannot count those.

    That eleven parts are refused has a test by hand (tests/unit/api/test_picture_form.py).
    """
    return not isinstance(body, dict) or _parts(list(body.values())) <= MOST_PARTS


def _parts(value: Any) -> int:
    return sum(map(_parts, value)) if isinstance(value, list) else 1


@schemathesis.hook
def before_call(_context: Any, case: Any, _options: Any) -> None:
    """Leave a key out that came before: with another request it is refused (422), as it must be.

    And do not wait long for batches, which nobody completes.
    """
    if case.path == "/batches/{batch_id}" and "wait" in (case.headers or {}).get("Prefer", ""):
        case.headers["Prefer"] = "wait=1"
    key = (case.headers or {}).get("Idempotency-Key")
    if key is None or len(key) > MAX_KEY_LENGTH:
        return
    if key in _used_keys:
        del case.headers["Idempotency-Key"]
    _used_keys.add(key)
