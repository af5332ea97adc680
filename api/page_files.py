"""The files of one page: the index, and what it loads."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from flask import Response, request
from werkzeug.exceptions import NotFound

from api.assets import CONTENT_TYPES, Asset

INDEX = "index.html"
# Browsers revalidate each time, so that they do not mix files of two versions.
CACHE_CONTROL = "no-cache"
# Behind proxies, a page has a form for each path below which it is served.
MOST_ROOTS = 8


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files of a page, by name."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix in CONTENT_TYPES}


class PageFiles:
    """Serves the files of a page; `{{root}}` in the index becomes the path below which the service is served."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._template = contents[INDEX]
        self._files = {name: Asset(name, content, CACHE_CONTROL) for name, content in contents.items() if name != INDEX}
        self._index_below = lru_cache(MOST_ROOTS)(self._make_index)

    def index(self) -> Response:
        """Return the index."""
        # Behind a proxy that removes the prefix `/cats`, relative links on the page `/cats` would lack the prefix.
        return self._index_below(f"{request.script_root}/" if request.script_root else "").response()

    def file(self, name: str) -> Response:
        """Return another file; raises NotFound."""
        if name not in self._files:
            raise NotFound()
        return self._files[name].response()

    def _make_index(self, root: str) -> Asset:
        return Asset(INDEX, self._template.replace(b"{{root}}", root.encode()), CACHE_CONTROL)
