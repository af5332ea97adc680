"""`/openapi.json` and `/docs`: the contract, for tools and for people. The page loads nothing from other hosts."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, current_app, request

from api.assets import asset
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

    @cache
    def contract() -> dict[str, Any]:
        # Generated at the first request, when all routes are registered.
        return contract_of(current_app)

    @blueprint.get("/openapi.json")
    @operation("contract", {200: Answer("The document.", {"type": "object"})})
    def get_contract() -> Response:
        """Get the contract, in OpenAPI 3.1."""
        document = of_service(contract(), requires_keys=requires_keys, path=request.script_root)
        return Response(as_text(document), content_type="application/json")

    @blueprint.get("/docs")
    @operation("contract", {200: Answer("The page.", TEXT, media_types=("text/html",))})
    def get_page() -> Response:
        """Get the contract as a page, on which every route can be tried."""
        return Response((PAGE / "index.html").read_bytes(), content_type="text/html; charset=utf-8")

    @blueprint.get("/docs/<name>")
    @operation("contract", ASSET_ANSWERS, problems=(404,), parameters=(NAME,))
    def get_asset(name: str) -> Response:
        """Get a file of this page."""
        if name not in ASSETS:
            abort(404)
        # Read from disk each time: requests are too rare to keep the file in memory.
        return asset(name, ASSETS[name].read_bytes(), f"max-age={ASSET_SECONDS}")

    return blueprint
