"""Rejects uploads by their headers, before the body is read: without a key, or while the queue is full."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.admission_control import AdmissionControl
from api.auth import Keys, Unauthorized
from shared.jobs.events import JobEvents

# Requests with these methods have no large body; the application checks and answers them.
WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class Refusal:
    """The problem that answers a rejected request; with an empty `title`, the title of the status is used."""

    status: int
    detail: str
    headers: Sequence[tuple[str, str]] = ()
    title: str = ""


class EarlyRejection:
    """Checks each request as soon as its headers have arrived.

    Does no I/O: it runs in the thread that serves all connections.
    """

    def __init__(self, admission_control: AdmissionControl, keys: Keys, events: JobEvents) -> None:
        """`events.refused` is called for each refusal, because these requests never reach the application."""
        self._admission_control = admission_control
        self._keys = keys
        self._events = events

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Return the refusal, None to let the request pass; `headers` are named as in CGI (`X_API_KEY`)."""
        refusal = self._look(method, path, headers)
        if refusal:
            self._events.refused(refusal.status)
        return refusal

    def _look(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        if method in WITHOUT_BODY:
            return None
        if self._keys.needed(method, path):
            try:
                self._keys.owner_of(headers.get("AUTHORIZATION", ""), headers.get("X_API_KEY", ""))
            except Unauthorized as error:
                return Refusal(401, str(error), [("WWW-Authenticate", error.challenge)])
        # A retry joins its first job even when the queue is full.
        if (method, path) != ("POST", "/upload") or "IDEMPOTENCY_KEY" in headers:
            return None
        full = self._admission_control.refusal()
        return Refusal(503, str(full), [("Retry-After", str(full.retry_after_seconds))]) if full else None
