"""Celery's worker without the lines that it prints at signals, which are in no log format."""

from typing import Any

from celery.apps import worker as celery_worker

# Its published types lack these functions.
handlers: Any = celery_worker


class QuietWorker(celery_worker.Worker):
    """Handles SIGTERM and the first Ctrl-C as Celery does, and prints nothing."""

    def install_platform_tweaks(self, worker: Any) -> None:
        super().install_platform_tweaks(worker)
        handlers.install_worker_term_handler(worker, verbose=False)
        handlers.install_worker_int_handler(worker, callback=_await_second_ctrl_c, verbose=False)


def _await_second_ctrl_c(worker: Any) -> None:
    """At the next Ctrl-C, cancel the running tasks."""
    handlers.install_worker_term_hard_handler(worker, sig="SIGINT")
