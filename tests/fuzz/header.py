"""`python -m tests.fuzz.header`: atheris looks for bytes with which the check of a picture's header misbehaves.

It starts from one small picture of every kind. What it finds lies in artifacts/ as crash-…, timeout-… or oom-…, and
ends the run.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL", "pi_heif", "shared"]):
    from shared.errors import PictureTooLarge, UnsupportedPicture
    from shared.images.formats import BY_PILLOW_NAME
    from shared.images.inspect import inspect_picture, set_up_pillow

    # Imports the readers.
    set_up_pillow()

ROOT = Path(__file__).parents[2]
SEEDS = (ROOT / "tests" / "data" / "traffic_light.heic",)


def check(data: bytes) -> None:
    """Inspect a picture; it is refused, or it has a size."""
    try:
        picture = inspect_picture(data)
    except (UnsupportedPicture, PictureTooLarge):
        return
    assert picture.width > 0
    assert picture.height > 0


def write_seeds(folder: Path) -> None:
    """Write one small picture of every kind into the corpus."""
    from PIL import Image

    picture = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    for name in BY_PILLOW_NAME.keys() & Image.SAVE.keys():
        with (folder / f"seed-{name}").open("wb") as file:
            picture.save(file, name)
    for source in SEEDS:
        (folder / f"seed-{source.name}").write_bytes(source.read_bytes())


if __name__ == "__main__":
    write_seeds(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
