"""How the processes log: one line an event on standard error, with the id of the request that it is about."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# The request that this thread works for; in a worker the one that brought the job. "" when it works for none.
request_id: ContextVar[str] = ContextVar("request_id", default="")


def configure_logging(level: str) -> None:
    """Send everything of `level` and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_request_id)
    form = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
    logging.basicConfig(handlers=[handler], level=level, format=form, force=True)
    # Celery tells of every task received and succeeded; the job record says the same.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


@contextmanager
def about_request(name: str) -> Iterator[None]:
    """Have what is logged meanwhile bear the id of another request."""
    token = request_id.set(name)
    try:
        yield
    finally:
        request_id.reset(token)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get() or "-"
    return True
