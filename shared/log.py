"""How the processes log: one line an event on standard error, with the ids of the request and the job it is about."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.settings import LogFormat

# The request that this thread works for; in a worker the one that brought the job. "" when it works for none.
request_id: ContextVar[str] = ContextVar("request_id", default="")
# The job that is run, given up or failed; "" for none.
job_id: ContextVar[str] = ContextVar("job_id", default="")
# Fields that a line may have besides its message, by `extra`: the access log's fields.
FIELDS = ("method", "path", "status", "seconds", "bytes")


def configure_logging(level: str, form: LogFormat = "auto") -> None:
    """Send everything of `level` and above to standard error: JSON, or text for people; `auto`: text on a terminal."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(text))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # Else Python writes them beside the lines.
    logging.captureWarnings(True)
    # Celery's pool tells of lost children through a logger that hands nothing on.
    logging.getLogger("multiprocessing").handlers = [handler]
    # Celery tells of every task received and succeeded; the job record says the same.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


@contextmanager
def about_job(job: str, request: str) -> Iterator[None]:
    """Have what is logged meanwhile bear the ids of a job and of the request that brought it."""
    tokens = job_id.set(job), request_id.set(request)
    try:
        yield
    finally:
        job_id.reset(tokens[0])
        request_id.reset(tokens[1])


def _formatter(text: bool) -> logging.Formatter:
    # The libraries log through `logging`, and so does the service: all of it passes here.
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(allow=FIELDS),
        _add_ids,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *last])


def _add_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    named = {"job_id": job_id.get(), "request_id": request_id.get()}
    event.update({name: value for name, value in named.items() if value})
    return event
