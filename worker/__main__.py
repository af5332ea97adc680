"""`python -m worker`: checks the model, then serves the queue."""

import logging
import os
import sys
from functools import partial
from pathlib import Path

from shared.log import configure_logging
from shared.redis_client import connect
from shared.redis_server import RedisServer
from shared.settings import Settings, SettingsError, unknown_settings
from worker.app import create_worker
from worker.batch_app import serve_in_batches
from worker.inference.classifier import Classifier
from worker.inference.engines import UnknownEngine, find_engine, load_engine, verify_model
from worker.inference.model_folder import ModelFolder, ModelFolderError
from worker.jobs.progress import SharedProgress
from worker.metrics import MetricsPortTaken, open_metrics
from worker.runtime.start_up import semaphore_flaw, wait_for_server
from worker.services import Services

log = logging.getLogger("worker")


def main() -> int:
    """Run a worker until it is stopped; return its exit code."""
    try:
        settings = Settings.from_environ(os.environ)
        find_engine(settings.engine)
    except (SettingsError, UnknownEngine) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    for variable in unknown_settings(os.environ):
        log.warning("%s is set, but there is no such setting", variable)
    if flaw := semaphore_flaw():
        log.critical("This worker cannot start: %s", flaw)
        return 1
    try:
        folder = ModelFolder.open(Path(settings.model_dir))
        verify_model(settings.engine, folder)
    except ModelFolderError as error:
        log.critical("%s", error)
        return 3
    log.info("model %s, digest %s, engine %s", folder.name, folder.digest, settings.engine)
    with connect(settings.redis_url, max_connections=1) as client:
        wait_for_server(RedisServer(client))
    try:
        with open_metrics(settings) as metrics:
            return _serve(Services.from_settings(settings, folder, metrics), folder)
    except SettingsError as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    except MetricsPortTaken as error:
        log.critical("%s", error)
        return 1


def _serve(services: Services, folder: ModelFolder) -> int:
    engine = services.settings.engine
    if find_engine(engine).batches:
        return serve_in_batches(services, folder, partial(load_engine, engine, folder))

    def load_classifier(progress: SharedProgress) -> Classifier:
        return Classifier(load_engine(engine, folder), folder, progress, services.times)

    worker = create_worker(services, load_classifier)
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
