"""What a view says about itself for the contract. It is noted on the view, which is called as ever."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])
NOTE = "operation"


@dataclass(frozen=True)
class Answer:
    """One answer of a route: its meaning, its body and an example of that."""

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
    """A route as its clients see it; `parameters` and `request_body` are in OpenAPI's own terms."""

    tag: str
    answers: Mapping[int, Answer]
    problems: Sequence[int]
    parameters: Sequence[Mapping[str, Any]]
    request_body: Mapping[str, Any] | None


def operation(
    tag: str,
    answers: Mapping[int, Answer],
    *,
    problems: Sequence[int] = (),
    parameters: Sequence[Mapping[str, Any]] = (),
    request_body: Mapping[str, Any] | None = None,
) -> Callable[[View], View]:
    """Note on a view what it takes and answers; `problems` are statuses beside those that every route may answer.

    The view's docstring becomes summary (its first line) and description.
    """
    note = Operation(tag, answers, problems, parameters, request_body)

    def put(view: View) -> View:
        setattr(view, NOTE, note)
        return view

    return put
