"""Holds answers against the stored contract, with schemathesis' own checks."""

import json
import re
from typing import Any

import schemathesis
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.repository import ROOT

STORED = ROOT / "docs" / "openapi.json"
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def stored_document() -> dict[str, Any]:
    return dict(json.loads(STORED.read_text("utf-8")))


class Contract:
    """The stored document as a judge of answers; a member that it does not name is as wrong as one that is missing."""

    def __init__(self) -> None:
        self._document = closed(stored_document())
        self._schema = schemathesis.openapi.from_dict(self._document)

    def _find(self, path: str) -> tuple[str, dict[str, str]]:
        """Return the contract's template of a path, "" if there is none, and its parameters."""
        for template in self._document["paths"]:
            found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template), path)
            if found:
                return template, found.groupdict()
        return "", {}

    def check(self, method: str, path: str, answer: Any) -> None:
        """Raise AssertionError unless the contract has this answer (of requests or Flask's test client) for the route.

        A path or method that is not in the contract is answered by a problem: 404, 405, or 401 where keys are wanted.
        """
        # The web page is for browsers alone.
        is_page = path == "/" or path.startswith("/page/")
        if method == "OPTIONS" or (is_page and answer.status_code < 400):
            return
        # HEAD is answered as GET is, without the body.
        known = "GET" if method == "HEAD" else method
        template, parameters = self._find(path)
        if known.lower() not in self._document["paths"].get(template, {}):
            assert answer.status_code in {401, 404, 405}, (method, path, answer.status_code)
            assert answer.headers["Content-Type"] == "application/problem+json"
            return
        case = self._schema[template][known].Case(path_parameters=parameters)
        checks = [status_code_conformance, response_headers_conformance] if method == "HEAD" else CHECKS
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as failures:
            raise AssertionError("\n".join(str(failure) for failure in failures.exceptions)) from None


def closed(schema: Any) -> Any:
    """Return the document with every object closed whose members it names."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        inner.setdefault("additionalProperties", False)
    return inner
