"""Generates the OpenAPI document from the routes of an application."""

import copy
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from apispec import APISpec
from flask import Flask
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from werkzeug.routing import Rule

from api.contract.batch_schemas import AddedPictures, BatchRecord
from api.contract.headers import ALWAYS, HEADERS
from api.contract.operation import NOTE, Answer, Operation, named
from api.contract.problems import MEANINGS, ON_EVERY_ROUTE, component_name, problem_response
from api.contract.schemas import JobRecord, Labels, OpenJob, Problem
from api.contract.status_schemas import Live, Ready, ServiceStatus
from shared.version import VERSION

BODIES = (Labels, OpenJob, JobRecord, BatchRecord, AddedPictures, Problem, Live, Ready, ServiceStatus)
INFO = {
    "summary": "Classifies pictures: returns the most likely labels of each.",
    "description": (
        "Send a picture to `POST /upload` and get its labels, or a job id to poll at `GET /result/{job_id}`. "
        "Errors are problem details (RFC 9457); `error` repeats `detail`."
    ),
    "license": {"name": "MIT", "identifier": "MIT"},
}
TAGS = [
    {"name": "pictures", "description": "Send pictures and get their labels."},
    {"name": "batches", "description": "Send many pictures under one id."},
    {"name": "health", "description": "Liveness and readiness."},
    {"name": "operations", "description": "The state of the service, and metrics for Prometheus."},
    {"name": "contract", "description": "This contract, as data and as a page."},
]
KEY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, if the service requires one."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key in its own header.",
    },
}
TAG_NAMES = [tag["name"] for tag in TAGS]
METHODS = ("get", "post", "put", "patch", "delete")

Route = tuple[Rule, Callable[..., Any], Operation]


class _SchemaGenerator(GenerateJsonSchema):
    """pydantic's generator, without a `title` for each field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def contract_of(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all views of `app` decorated with `operation`."""
    spec = APISpec("topthree", VERSION, "3.1.0", info=INFO, tags=TAGS)
    _add_components(spec)
    for rule, view, note in sorted(_noted_routes(app), key=_reading_order):
        described = {method: _operation(view, note) for method in METHODS if method.upper() in (rule.methods or ())}
        spec.path(path=re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), operations=described)
    return spec.to_dict()


def _noted_routes(app: Flask) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        note: Operation | None = getattr(view, NOTE, None)
        if note is not None:
            yield rule, view, note


def _reading_order(route: Route) -> tuple[int, int, str, str]:
    """Sort routes as people need them: by topic, what they call first before what they do with its answer."""
    rule, _, note = route
    return TAG_NAMES.index(note.tag), rule.rule.count("/"), rule.rule, rule.endpoint


def _add_components(spec: APISpec) -> None:
    _, definitions = TypeAdapter.json_schemas(
        [(body, "serialization", TypeAdapter(body)) for body in BODIES],
        ref_template="#/components/schemas/{model}",
        schema_generator=_SchemaGenerator,
    )
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for name, schema in definitions["$defs"].items():
        spec.components.schema(name, schema)
    for name, scheme in KEY_SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for status in sorted(MEANINGS):
        spec.components.response(component_name(status), problem_response(status))


def _operation(view: Callable[..., Any], note: Operation) -> dict[str, Any]:
    summary, _, description = inspect.cleandoc(view.__doc__ or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": view.__name__,
        "tags": [note.tag],
        "summary": summary.rstrip("."),
        "description": description.strip().replace("\n", " "),
        "parameters": list(note.parameters),
        "responses": _responses(note.answers, (*ON_EVERY_ROUTE, *note.problems)),
    }
    if 401 in note.problems:
        # The empty requirement makes keys optional: they are needed only if the operator has set some.
        described["security"] = [{}, *({name: []} for name in KEY_SCHEMES)]
    if note.request_body:
        described["requestBody"] = note.request_body
    return described


def _responses(answers: Mapping[int, Answer], problems: Sequence[int]) -> dict[str, Any]:
    described: dict[int, Any] = {status: _response(answer) for status, answer in answers.items()}
    described |= {status: component_name(status) for status in problems}
    return {str(status): described[status] for status in sorted(described)}


def _response(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    described["headers"] = {name: name for name in (*answer.headers, *ALWAYS)}
    if answer.body is not None:
        schema = answer.body.__name__ if isinstance(answer.body, type) else dict(answer.body)
        content: dict[str, Any] = {"schema": schema}
        if answer.example is not None:
            content["examples"] = named(answer.example)
        described["content"] = {media_type: dict(content) for media_type in answer.media_types}
    if answer.links:
        described["links"] = dict(answer.links)
    return described


def of_service(document: Mapping[str, Any], *, requires_keys: bool, path: str) -> dict[str, Any]:
    """Return the document of one service: with API keys only if it requires them, and with its path behind a proxy."""
    served: dict[str, Any] = copy.deepcopy(dict(document))
    for operations in served["paths"].values():
        for described in operations.values():
            if requires_keys and "security" in described:
                described["security"].remove({})
            else:
                described.pop("security", None)
    if not requires_keys:
        del served["components"]["securitySchemes"]
    if path:
        # Without `servers`, clients would send requests to the root of the proxy.
        served["servers"] = [{"url": path}]
    return served


def as_text(document: Mapping[str, Any]) -> str:
    """Return the JSON of a document, as it is served and stored in docs/openapi.json."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
