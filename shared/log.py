"""How the processes log: one line an event on standard error."""

import logging
import sys


def configure_logging(level: str) -> None:
    """Send everything of `level` and above to standard error."""
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    # Celery tells of every task received and succeeded; the job record says the same.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
