"""Reads requests as waitress does, and answers what it refuses itself (400, 413, 431, 501) as a problem."""

import time
from collections.abc import Callable
from typing import Any

from waitress.parser import HTTPRequestParser

from api.problems import PROBLEM_TYPE, problem_body
from shared.errors import QueueFull

# Called in the thread that serves all connections: it must not wait for anything.
Refuse = Callable[[str, str], QueueFull | None]


class Refusal:
    """The answer to a request that never reaches the application."""

    def __init__(self, code: int, reason: str, detail: str, retry_after_seconds: int = 0) -> None:
        """waitress reads `code`, `reason` and `body` again when it writes the answer."""
        self.code = code
        self.reason = reason
        self.body = detail
        self._retry_after_seconds = retry_after_seconds

    @classmethod
    def of(cls, error: Any) -> "Refusal":
        """Return the same as an `error` of waitress."""
        return cls(error.code, error.reason, str(error.body))

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status line, headers and body, in waitress' form."""
        body = problem_body(self.code, f"{self.body.rstrip('.')}.", title=self.reason)
        headers = [("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store")]
        if self._retry_after_seconds:
            headers.append(("Retry-After", str(self._retry_after_seconds)))
        return f"{self.code} {self.reason}", headers, body.encode()


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """One request while it is being received; `began` is when, on the monotonic clock."""

    error: Any

    def __init__(self, adjustments: Any) -> None:
        super().__init__(adjustments)
        self.began = time.monotonic()
        self._asked = False

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
            return Refusal.of(self.error)
        if self._asked or not self.headers_finished or self.empty:
            return None
        self._asked = True
        full = None if "IDEMPOTENCY_KEY" in self.headers else self.adj.refuse(self.command, self.path)
        return full and Refusal(503, "Service Unavailable", str(full), full.retry_after_seconds)
