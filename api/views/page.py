"""`/`: the web page, a fixed set of small files."""

from pathlib import Path

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.assets import CONTENT_TYPES, asset
from shared.images.formats import NAMES, SUFFIXES

FOLDER = Path(__file__).parents[1] / "page"
INDEX = "index.html"
# Browsers revalidate each time, so that they do not mix files of two versions.
CACHE_CONTROL = "no-cache"
# With the suffixes, because some systems do not recognize files such as .heic as images.
ACCEPT = ",".join(("image/*", *SUFFIXES))


def page_blueprint(max_image_bytes: int) -> Blueprint:
    """Return the page's routes; the page refuses pictures of more than `max_image_bytes` without sending them."""
    contents = {path.name: path.read_bytes() for path in FOLDER.rglob("*") if path.suffix in CONTENT_TYPES}
    values = {"max_image_bytes": str(max_image_bytes), "formats": NAMES, "accept": ACCEPT}
    for name, value in values.items():
        contents[INDEX] = contents[INDEX].replace(f"{{{{{name}}}}}".encode(), value.encode())
    blueprint = Blueprint("page", __name__)

    @blueprint.get("/")
    def index() -> Response:
        # Behind a proxy that removes the prefix `/cats`, relative links on the page `/cats` would lack the prefix.
        root = f"{request.script_root}/" if request.script_root else ""
        return asset(INDEX, contents[INDEX].replace(b"{{root}}", root.encode()), CACHE_CONTROL)

    @blueprint.get("/page/<name>")
    def file(name: str) -> Response:
        if name not in contents or name == INDEX:
            raise NotFound()
        return asset(name, contents[name], CACHE_CONTROL)

    return blueprint
