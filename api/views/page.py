"""`/`: the web page, a fixed set of small files."""

from pathlib import Path

from flask import Blueprint, Response

from api.page_files import INDEX, PageFiles, read_files
from shared.images.formats import NAMES, SUFFIXES

FOLDER = Path(__file__).parents[1] / "page"
# With the suffixes, because some systems do not recognize files such as .heic as images.
ACCEPT = ",".join(("image/*", *SUFFIXES))


def page_blueprint(max_image_bytes: int, *, requires_key: bool) -> Blueprint:
    """Return the page's routes.

    The page refuses pictures of more than `max_image_bytes` without sending them. `requires_key`: its commands for a
    shell have a place for the API key.
    """
    contents = read_files(FOLDER)
    values = {
        "max_image_bytes": str(max_image_bytes),
        "requires_key": " data-requires-key" if requires_key else "",
        "formats": NAMES,
        "accept": ACCEPT,
    }
    for name, value in values.items():
        contents[INDEX] = contents[INDEX].replace(f"{{{{{name}}}}}".encode(), value.encode())
    files = PageFiles(contents)
    blueprint = Blueprint("page", __name__)

    @blueprint.get("/")
    def index() -> Response:
        return files.index()

    @blueprint.get("/page/<name>")
    def file(name: str) -> Response:
        return files.file(name)

    return blueprint
