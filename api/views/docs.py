"""`/openapi.json` and `/docs`: the contract, for tools and for people. The page loads nothing from other hosts."""

from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, request

from api.assets import CONTENT_TYPES, Asset
from api.compression import Compressed
from api.contract.document import as_text, contract_of, of_service
from api.contract.operation import Answer, operation

PAGE = Path(str(files("api.contract"))) / "page"
RAPIDOC = Path(str(files("flask_openapi_rapidoc"))) / "templates" / "rapidoc"
ASSETS = {
    "docs.css": PAGE / "docs.css",
    "rapidoc-min.js": RAPIDOC / "js" / "rapidoc-min.js",
    "start.js": PAGE / "start.js",
    "templates.js": PAGE / "templates.js",
}
ASSET_SECONDS = 3600
# Behind proxies, the document has a form for each path below which it is served.
MOST_ROOTS = 8
NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The name of the file.",
    "schema": {"type": "string", "enum": list(ASSETS)},
}
TEXT = {"type": "string"}
ASSET_ANSWERS = {
    200: Answer("The file.", TEXT, media_types=("text/css", "text/javascript"), headers=("ETag",)),
    304: Answer("The client already has this file."),
}


def docs_blueprint(requires_keys: bool) -> Blueprint:
    """Return the routes of the contract, for a service that requires API keys or not."""
    blueprint = Blueprint("docs", __name__)

    # Generated at the first request, when all routes are registered.
    @lru_cache(MOST_ROOTS)
    def contract(root: str) -> Compressed:
        document = of_service(contract_of(current_app), requires_keys=requires_keys, path=root)
        return Compressed(as_text(document).encode())

    @cache
    def page() -> Compressed:
        return Compressed((PAGE / "index.html").read_bytes())

    # Compressed at the first request, because compressing a megabyte would delay the start.
    @cache
    def page_asset(name: str) -> Asset:
        return Asset(name, ASSETS[name].read_bytes(), f"max-age={ASSET_SECONDS}")

    @blueprint.get("/openapi.json")
    @operation("contract", {200: Answer("The document.", {"type": "object"})})
    def get_contract() -> Response:
        """Get the contract, in OpenAPI 3.1."""
        return contract(request.script_root).response("application/json")

    @blueprint.get("/docs")
    @operation("contract", {200: Answer("The page.", TEXT, media_types=("text/html",))})
    def get_page() -> Response:
        """Get the contract as a page, on which every route can be tried."""
        return page().response(CONTENT_TYPES[".html"])

    @blueprint.get("/docs/<name>")
    @operation("contract", ASSET_ANSWERS, problems=(404,), parameters=(NAME,))
    def get_asset(name: str) -> Response:
        """Get a file of this page."""
        if name not in ASSETS:
            abort(404)
        return page_asset(name).response()

    return blueprint
