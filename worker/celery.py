"""The Celery application for Celery's own commands, such as `celery -A worker status` (docs/celery.md)."""

import os
from typing import Any, NoReturn

from celery import Celery

from shared.settings import Settings, SettingsError
from worker.runtime.celery_app import create_celery


def __getattr__(name: str) -> Any:
    """Create `app` on first access, so that importing this module does not read the environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = app = _command_app()
    return app


def _command_app() -> Celery:
    try:
        app = create_celery(Settings.from_environ(os.environ))
    except SettingsError as error:
        raise SystemExit(f"celery: {error}") from None
    app.Worker = _refuse  # type: ignore[misc,assignment]
    return app


def _refuse(**_options: object) -> NoReturn:
    """Replace Celery's worker, which would take jobs without being able to run them."""
    raise SystemExit("celery: start a worker with `python -m worker`, which loads the model and manages the jobs.")
