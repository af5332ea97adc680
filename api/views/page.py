"""`/`: the web page, a fixed set of small files."""

from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from api.assets import CONTENT_TYPES, Asset
from shared.images.formats import NAMES, SUFFIXES

FOLDER = Path(__file__).parents[1] / "page"
INDEX = "index.html"
# Browsers revalidate each time, so that they do not mix files of two versions.
CACHE_CONTROL = "no-cache"
# With the suffixes, because some systems do not recognize files such as .heic as images.
ACCEPT = ",".join(("image/*", *SUFFIXES))
# Behind proxies, the page has a form for each path below which it is served.
MOST_ROOTS = 8


def page_blueprint(max_image_bytes: int) -> Blueprint:
    """Return the page's routes; the page refuses pictures of more than `max_image_bytes` without sending them."""
    contents = {path.name: path.read_bytes() for path in FOLDER.rglob("*") if path.suffix in CONTENT_TYPES}
    values = {"max_image_bytes": str(max_image_bytes), "formats": NAMES, "accept": ACCEPT}
    for name, value in values.items():
        contents[INDEX] = contents[INDEX].replace(f"{{{{{name}}}}}".encode(), value.encode())
    template = contents.pop(INDEX)
    files = {name: Asset(name, content, CACHE_CONTROL) for name, content in contents.items()}
    blueprint = Blueprint("page", __name__)

    @lru_cache(MOST_ROOTS)
    def index_below(root: str) -> Asset:
        return Asset(INDEX, template.replace(b"{{root}}", root.encode()), CACHE_CONTROL)

    @blueprint.get("/")
    def index() -> Response:
        # Behind a proxy that removes the prefix `/cats`, relative links on the page `/cats` would lack the prefix.
        return index_below(f"{request.script_root}/" if request.script_root else "").response()

    @blueprint.get("/page/<name>")
    def file(name: str) -> Response:
        if name not in files:
            raise NotFound()
        return files[name].response()

    return blueprint
