"""A decorator that attaches OpenAPI metadata to a view without changing how it is called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])
NOTE = "operation"


@dataclass(frozen=True)
class Answer:
    """One response of a route: description, body, example of the body."""

    description: str
    body: type | Mapping[str, Any] | None = None
    """One of `schemas.BODIES`, or a schema."""
    example: Any = None
    media_types: Sequence[str] = ("application/json",)
    headers: Sequence[str] = ()
    """Names in `headers.HEADERS`."""
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """The metadata of a route; `parameters` and `request_body` are OpenAPI objects."""

    tag: str
    answers: Mapping[int, Answer]
    problems: Sequence[int]
    parameters: Sequence[Mapping[str, Any]]
    request_body: Mapping[str, Any] | None


def named(example: Any) -> dict[str, Any]:
    """Return the `examples` of a body. The page at `/docs` replaces examples without a name by generated ones."""
    return {"example": {"value": example}}


def operation(
    tag: str,
    answers: Mapping[int, Answer],
    *,
    problems: Sequence[int] = (),
    parameters: Sequence[Mapping[str, Any]] = (),
    request_body: Mapping[str, Any] | None = None,
) -> Callable[[View], View]:
    """Describe a view's requests and responses; `problems` are error statuses in addition to those of every route.

    The first line of the view's docstring becomes the summary, the rest the description.
    """
    note = Operation(tag, answers, problems, parameters, request_body)

    def put(view: View) -> View:
        setattr(view, NOTE, note)
        return view

    return put
