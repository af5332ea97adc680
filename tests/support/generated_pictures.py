"""Pictures for schemathesis: every kind of file that is accepted, small, of any colour."""

import schemathesis
from hypothesis import strategies
from PIL import Image

from shared.pictures import set_up_pillow
from tests.support.pictures import KINDS

set_up_pillow()


@strategies.composite
def pictures(draw: strategies.DrawFn) -> bytes:
    """Draw the bytes of a file."""
    kind = draw(strategies.sampled_from(sorted(KINDS)))
    size = draw(strategies.tuples(strategies.integers(8, 64), strategies.integers(8, 64)))
    colour = draw(strategies.tuples(*[strategies.integers(0, 255)] * 3))
    return KINDS[kind](Image.new("RGB", size, colour))


schemathesis.openapi.media_type("image/*", pictures())
