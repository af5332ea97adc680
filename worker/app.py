"""Wires a worker: settings in, a Celery worker ready to start out."""

import multiprocessing
import os
import socket
from typing import Any

from celery import Celery, signals

from shared.image_store import open_image_store
from shared.jobs import Jobs, limits_of
from shared.pictures import set_up_pillow
from shared.queue import JobQueue, create_celery
from shared.redis_client import connect
from shared.settings import Settings
from shared.workers import WorkerRecord, Workers
from worker.child import Child
from worker.classifier import Classifier
from worker.engines import load_engine
from worker.job_runner import JobRunner
from worker.model_folder import ModelFolder
from worker.parent import Parent, attach_parent
from worker.repair import Repair
from worker.tasks import register_tasks

# A child may need longer than Celery's four seconds to load a large model on a busy machine.
CHILD_START_SECONDS = 120
# A job runs at most its time limit; a lease this much longer is over only when its worker is gone.
LEASE_MARGIN_SECONDS = 1


def create_worker(settings: Settings, folder: ModelFolder) -> Any:
    """Return the Celery worker (`start()` blocks until it is told to stop) that answers with the model in `folder`."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    app = create_celery(settings)
    app.conf.update(
        worker_prefetch_multiplier=1,
        worker_proc_alive_timeout=CHILD_START_SECONDS,
        worker_enable_remote_control=False,
        # Without late acknowledgement nothing is cancelled; set because Celery warns of it at every reconnect else.
        worker_cancel_long_running_tasks_on_connection_loss=True,
    )
    # Any receiver keeps Celery from setting up logging its own way.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    warmed = multiprocessing.get_context("fork").Event()
    child = Child(lambda: _make_runner(settings, folder, name), warmed)
    child.attach()
    register_tasks(app, child.run, settings.job_time_limit_seconds)
    record = WorkerRecord(name, settings.engine, folder.name, folder.digest, settings.workers)
    attach_parent(app, _make_parent(settings, app, record, warmed))
    return app.Worker(
        hostname=f"worker@{name}",
        pool_cls="prefork",
        concurrency=settings.workers,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _make_parent(settings: Settings, app: Celery, record: WorkerRecord, warmed: Any) -> Parent:
    client = connect(settings.redis_url, max_connections=2, decode=True)
    jobs = Jobs(client, limits_of(settings))
    queue = JobQueue(app)
    return Parent(record, warmed, Workers(client), Repair(client, jobs, queue), jobs, queue)


def _make_runner(settings: Settings, folder: ModelFolder, worker: str) -> JobRunner:
    """Load the model and connect; runs in the child, since neither may cross a fork."""
    set_up_pillow()
    classifier = Classifier(load_engine(settings.engine, folder), folder)
    jobs = Jobs(connect(settings.redis_url, max_connections=1, decode=True, patient=True), limits_of(settings))
    images = open_image_store(
        settings.image_store_url, connect(settings.redis_url, max_connections=1, decode=False, patient=True)
    )
    lease_seconds = settings.job_time_limit_seconds + LEASE_MARGIN_SECONDS
    return JobRunner(jobs, images, classifier, worker, lease_seconds)
