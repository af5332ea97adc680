"""Reads requests as waitress does, and answers what it refuses itself (400, 413, 431, 501) as a problem."""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from waitress.parser import HTTPRequestParser

from api.problems import problem_body
from api.request_id import choose_request_id


class Refusal:
    """The answer to a request that never reaches the application."""

    def __init__(self, code: int, reason: str, detail: str, retry_after_seconds: int = 0, challenge: str = "") -> None:
        """waitress reads `code`, `reason` and `body` again when it writes the answer."""
        self.code = code
        self.reason = reason
        self.body = detail
        self._retry_after_seconds = retry_after_seconds
        self._challenge = challenge

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status line, headers and body, in waitress' form."""
        body = problem_body(self.code, f"{self.body.rstrip('.')}.", title=self.reason)
        headers = [("Content-Type", "application/problem+json")]
        if self._retry_after_seconds:
            headers.append(("Retry-After", str(self._retry_after_seconds)))
        if self._challenge:
            headers.append(("WWW-Authenticate", self._challenge))
        return f"{self.code} {self.reason}", headers, body.encode()


# Is asked for the method, the path and the headers (named as in CGI) of each request whose headers are complete. Called
# in the thread that serves all connections: it must not wait for anything.
Refuse = Callable[[str, str, Mapping[str, str]], Refusal | None]


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """One request while it is being received; `began` is when, on the monotonic clock."""

    error: Any

    def __init__(self, adjustments: Any) -> None:
        super().__init__(adjustments)
        self.began = time.monotonic()
        self._asked = False

    @cached_property
    def request_id(self) -> str:
        """What the request is called in its answer and in the logs; to be asked for when its headers are there."""
        return choose_request_id(self.headers.get("X_REQUEST_ID", ""))

    def received(self, data: bytes) -> int:
        """Take in `data`, return how much of it was used up."""
        used = int(super().received(data))
        refusal = self._refusal()
        if refusal is None:
            return used
        self.error = refusal
        self.completed = True
        # A client that asks before it sends its body must not be told to go on,
        self.expect_continue = False
        # and what it has sent already belongs to the refused request, not to a next one.
        return len(data)

    def _refusal(self) -> Refusal | None:
        if self.error is not None:
            return Refusal(self.error.code, self.error.reason, str(self.error.body))
        if self._asked or not self.headers_finished or self.empty:
            return None
        self._asked = True
        # The application takes it from here.
        self.headers["X_REQUEST_ID"] = self.request_id
        # As the application sees them.
        refusal: Refusal | None = self.adj.refuse(self.command.upper(), "/" + self.path.lstrip("/"), self.headers)
        return refusal
