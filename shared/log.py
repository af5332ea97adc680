"""How the processes log: one line an event on standard error, with the ids of the request and the job it is about."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars
from structlog.typing import Processor

from shared.settings import LogFormat

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


def begin_request(request_id: str) -> None:
    """Add the id of a request to all that this thread logs from now on."""
    bind_contextvars(request_id=request_id)


def current_request_id() -> str:
    """Return the id of the request that this thread works for, "" if it works for none."""
    return str(get_contextvars().get("request_id", ""))


def begin_job(job: str, request: str) -> None:
    """Add the ids of a job, and of the request that brought it, to all that this thread logs until `end_job`."""
    # What an attempt that raised has left.
    clear_contextvars()
    bind_contextvars(**_ids(job, request))


def end_job() -> None:
    """Log without ids again."""
    clear_contextvars()


@contextmanager
def about_job(job: str, request: str) -> Iterator[None]:
    """Have what is logged meanwhile bear the ids of a job and of the request that brought it."""
    with bound_contextvars(**_ids(job, request)):
        yield


def _ids(job: str, request: str) -> dict[str, str]:
    # Jobs of older versions do not know their request.
    return {"job_id": job} | ({"request_id": request} if request else {})


def _formatter(text: bool) -> logging.Formatter:
    # The libraries log through `logging`, and so does the service: all of it passes here.
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(allow=FIELDS),
        structlog.contextvars.merge_contextvars,
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *last])
