"""Logging: one line per event on standard error, with the ids of its request and job."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import (
    bind_contextvars,
    bound_contextvars,
    clear_contextvars,
    get_contextvars,
    unbind_contextvars,
)
from structlog.typing import Processor

from shared.settings import LogFormat

# Celery's loggers tell of every task, which job records contain too, and of each step of its start. The others log each
# call in native threads, where the API's logging could wait for ever: its locks are gevent's.
CHATTY = (
    *("celery.worker.strategy", "celery.app.trace", "celery.worker.consumer.connection", "celery.apps.worker"),
    *("fsspec", "s3fs", "aiobotocore", "botocore", "asyncio", "PIL"),
)
# Fields of the access log; `extra` may add these to a line.
FIELDS = ("method", "path", "status", "seconds", "bytes")


def configure_logging(level: str, form: LogFormat = "auto", handler: logging.Handler | None = None) -> None:
    """Log from `level` up, as JSON or text, to standard error or to `handler`.

    `auto` is text if standard error is a terminal, else JSON.
    """
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    colors = handler is None and sys.stderr.isatty()
    handler = handler or logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(text, colors))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # Otherwise Python writes warnings directly to standard error.
    logging.captureWarnings(True)
    # Celery's pool reports lost children through this logger, which does not propagate.
    logging.getLogger("multiprocessing").handlers = [handler]
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


def begin_request(request_id: str, traceparent: str = "") -> None:
    """Add the ids of a request and its trace, if it has one, to all further log lines of this thread."""
    # The request before on this connection may have had one.
    unbind_contextvars("trace_id")
    bind_contextvars(request_id=request_id, **_trace_id(traceparent))


def current_request_id() -> str:
    """Return the id of this thread's current request, "" if there is none."""
    return str(get_contextvars().get("request_id", ""))


def begin_job(job: str, request: str, traceparent: str = "") -> None:
    """Add the ids of a job, its request and its trace to all log lines of this thread until `end_job`."""
    # Remove the ids that a failed attempt has left.
    clear_contextvars()
    bind_contextvars(**_ids(job, request, traceparent))


def end_job() -> None:
    """Remove the ids from further log lines."""
    clear_contextvars()


@contextmanager
def about_job(job: str, request: str, traceparent: str = "") -> Iterator[None]:
    """Add the ids of a job, its request and its trace to the log lines of the block."""
    with bound_contextvars(**_ids(job, request, traceparent)):
        yield


def _ids(job: str, request: str, traceparent: str) -> dict[str, str]:
    # Job records of older versions have no request id.
    return {"job_id": job} | ({"request_id": request} if request else {}) | _trace_id(traceparent)


def _trace_id(traceparent: str) -> dict[str, str]:
    # The form is <version>-<trace id>-<span id>-<flags>.
    return {"trace_id": traceparent.split("-")[1]} if traceparent else {}


def _formatter(text: bool, colors: bool) -> logging.Formatter:
    # The service and its libraries log through `logging`, so all lines are formatted here.
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(allow=FIELDS),
        structlog.contextvars.merge_contextvars,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=colors)]
        if text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *last])
