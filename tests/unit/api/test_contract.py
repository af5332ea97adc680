"""The OpenAPI document: made from the routes, stored, complete, and right about its own examples."""

import gzip
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.contract.document import METHODS, as_text, contract_of
from shared.api_keys import digest_of
from tests.support.contract import STORED, stored_document
from tests.unit.api.conftest import Bench, contract, make_bench

# Routes for people or machines that are no part of the contract, each by its own choice.
# What is for browsers alone.
NO_CONTRACT = {"/", "/page/{name}", "/page/status/{name}"}


def test_the_stored_document_is_the_one_that_the_code_makes(bench: Bench) -> None:
    # If it is not and the change is wanted: `make contract`.
    assert STORED.read_text("utf-8") == as_text(contract_of(bench.http.application))


def test_the_service_serves_it(bench: Bench) -> None:
    answer = bench.http.get("/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json["paths"].keys() == stored_document()["paths"].keys()


def test_it_names_keys_only_where_they_are_required(bench: Bench) -> None:
    def secured(document: Any) -> dict[str, list[Any]]:
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        return {each["operationId"]: each["security"] for each in operations if "security" in each}

    # Given a service without keys, Then its document has none
    without = bench.http.get("/openapi.json").json
    assert secured(without) == {} and "securitySchemes" not in without["components"]
    # Given a service with keys, Then they are required where the stored document, which is for both, allows them
    served = make_bench(api_keys=f"alice:{digest_of('key')}").http.get("/openapi.json").json
    keys = [{"bearer": []}, {"header": []}]
    assert secured(served) == dict.fromkeys(secured(stored_document()), keys)
    assert all(optional == [{}, *keys] for optional in secured(stored_document()).values())
    assert list(OpenAPIV31SpecValidator(served).iter_errors()) == []


def test_it_is_openapi() -> None:
    document = stored_document()
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []  # type: ignore[arg-type]


def test_every_route_is_in_it(bench: Bench) -> None:
    paths = stored_document()["paths"]
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in bench.http.application.url_map.iter_rules()
        for method in rule.methods or ()
        if method.lower() in METHODS
    }
    assert {(path, method) for path, method in routes if path not in NO_CONTRACT} == {
        (path, method) for path, methods in paths.items() for method in methods
    }


def contents(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every description of a body in the document."""
    if isinstance(node, dict):
        yield from node.get("content", {}).values() if isinstance(node.get("content"), dict) else ()
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from contents(inner)


def test_its_examples_are_valid() -> None:
    document = stored_document()
    examples = [
        (content["schema"], example["value"])
        for content in contents(document)
        for example in content.get("examples", {}).values()
    ]
    assert len(examples) > 10
    for schema, example in examples:
        whole = {**schema, "components": document["components"]}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(example)


@pytest.mark.parametrize("member", ["summary", "operationId"])
def test_every_operation_says_what_it_is(member: str) -> None:
    said = [operation[member] for path in stored_document()["paths"].values() for operation in path.values()]
    assert all(said) and len(said) == len(set(said))


def test_summaries_are_plain_text() -> None:
    # `/docs` shows Markdown in descriptions only
    said = [operation["summary"] for path in stored_document()["paths"].values() for operation in path.values()]
    assert [summary for summary in said if "`" in summary] == []


def test_answers_that_the_contract_does_not_know_are_noticed(bench: Bench) -> None:
    # Given an answer of the service
    answer = bench.http.get("/health/live")
    # When a member is added, or its status is another, Then it no longer holds
    contract().check("GET", "/health/live", answer)
    answer.set_data(b'{"status":"live","version":"1","more":1}')
    with pytest.raises(AssertionError):
        contract().check("GET", "/health/live", answer)
    answer.set_data(b'{"status":"live","version":"1"}')
    answer.status_code = 418
    with pytest.raises(AssertionError):
        contract().check("GET", "/health/live", answer)


class Page(HTMLParser):
    """What a page loads, and what it has inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and given.get("src"):
            self.loaded.append(str(given["src"]))
        elif tag == "link" and given.get("rel") == "stylesheet":
            self.loaded.append(str(given["href"]))
        elif tag in {"script", "style"}:
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def test_the_page_loads_everything_from_the_service_and_has_nothing_inline(bench: Bench) -> None:
    page = Page(bench.http.get("/docs").text)
    assert page.inline == [] and len(page.loaded) == 4
    for address in page.loaded:
        answer = bench.http.get(f"/{address}")
        assert (answer.status_code, len(answer.data) > 50) == (200, True)
        # And a browser that has it is told so
        assert bench.http.get(f"/{address}", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_the_page_is_small(bench: Bench) -> None:
    addresses = ["docs", "openapi.json", *Page(bench.http.get("/docs").text).loaded]
    sizes = {address: len(gzip.compress(bench.http.get(f"/{address}").data)) for address in addresses}
    assert sum(sizes.values()) < 160_000, sizes


def test_the_page_has_no_other_files(bench: Bench) -> None:
    for name in ("index.html", "..%2F__init__.py", "%2e%2e"):
        assert bench.http.get(f"/docs/{name}").status_code == 404
