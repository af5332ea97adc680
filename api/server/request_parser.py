"""Reads requests as waitress does, and answers what it refuses itself (400, 413, 431, 501) as a problem."""

import time
from typing import Any

from waitress.parser import HTTPRequestParser

from api.problems import problem_body


class Refusal:
    """The answer to a request that never reaches the application."""

    def __init__(self, code: int, reason: str, body: str) -> None:
        """waitress reads `code` and `reason` again when it writes the answer."""
        self.code = code
        self.reason = reason
        self.body = body

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status line, headers and body, in waitress' form."""
        body = problem_body(self.code, f"{self.body.rstrip('.')}.", title=self.reason)
        return f"{self.code} {self.reason}", [("Content-Type", "application/problem+json")], body.encode()


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """One request while it is being received; `began` is when, on the monotonic clock."""

    error: Any

    def __init__(self, adjustments: Any) -> None:
        super().__init__(adjustments)
        self.began = time.monotonic()

    def received(self, data: bytes) -> int:
        """Take in `data`, return how much of it was used up."""
        used = int(super().received(data))
        if self.error is None:
            return used
        self.error = Refusal(self.error.code, self.error.reason, str(self.error.body))
        self.completed = True
        # A client that asks before it sends its body must not be told to go on,
        self.expect_continue = False
        # and what it has sent already belongs to the refused request, not to a next one.
        return len(data)
