"""`/`: the web page, a fixed set of small files."""

from pathlib import Path

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from api.assets import CONTENT_TYPES, asset
from shared.images.formats import NAMES, SUFFIXES

FOLDER = Path(__file__).parents[1] / "page"
INDEX = "index.html"
# With the suffixes, because some systems do not recognize files such as .heic as images.
ACCEPT = ",".join(("image/*", *SUFFIXES))


def page_blueprint(max_image_bytes: int) -> Blueprint:
    """Return the page's routes; it refuses larger pictures before they are sent."""
    contents = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in CONTENT_TYPES}
    values = {"max_image_bytes": str(max_image_bytes), "formats": NAMES, "accept": ACCEPT}
    for name, value in values.items():
        contents[INDEX] = contents[INDEX].replace(f"{{{{{name}}}}}".encode(), value.encode())
    blueprint = Blueprint("page", __name__)

    @blueprint.get("/")
    def index() -> Response:
        return _answer(INDEX)

    @blueprint.get("/page/<name>")
    def file(name: str) -> Response:
        if name not in contents or name == INDEX:
            raise NotFound()
        return _answer(name)

    def _answer(name: str) -> Response:
        # Browsers revalidate each time, so that they do not mix files of two versions.
        return asset(name, contents[name], "no-cache")

    return blueprint
