"""Wiring of a worker that forms batches: one process with the model and many threads, and a pool of decoders."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from shared.settings import Settings
from worker.app import Pool, assemble_worker
from worker.decoding.pool import DecodePool
from worker.decoding.process import DecodeLimits
from worker.inference.batcher import Batcher
from worker.inference.engines import Engine
from worker.inference.model_folder import Manifest, ModelFolder
from worker.jobs.batch_runner import BatchRunner
from worker.jobs.progress import NoProgress
from worker.metrics import WorkerMetrics
from worker.runtime.watchdog import kill_this_process
from worker.services import SOFT_LIMIT_MARGIN_SECONDS, Services

log = logging.getLogger(__name__)


class ModelTooSlow(ValueError):
    """A full batch takes too long for the time limit of a job; the message says what to change."""


def serve_in_batches(services: Services, folder: ModelFolder, load_engine: Callable[[], Engine]) -> int:
    """Run a worker with the model from `load_engine` until it is stopped; return its exit code."""
    settings = services.settings
    with ExitStack() as parts:
        try:
            pool = DecodePool(settings.workers, _decode_limits(settings, folder.manifest))
            parts.callback(pool.close)
            batcher = _make_batcher(settings, folder.manifest, load_engine(), services.metrics)
            parts.callback(batcher.close)
        except Exception as error:
            log.critical("This worker cannot start: %s", error)
            return 1
        worker = _make_worker(services, folder, pool, batcher)
        worker.start()
        return int(worker.exitcode or 0)


def count_threads(max_batch: int, decoders: int) -> int:
    """Return how many jobs run at once: one batch in the model, the next batch waiting, and one job per decoder."""
    return 2 * max_batch + decoders


def _decode_limits(settings: Settings, manifest: Manifest) -> DecodeLimits:
    # As in prefork children: stop a job before it counts as hanging.
    seconds = max(1, settings.job_time_limit_seconds - SOFT_LIMIT_MARGIN_SECONDS)
    return DecodeLimits(manifest.input_height, manifest.input_width, seconds, settings.job_memory_bytes)


def _make_batcher(settings: Settings, manifest: Manifest, engine: Engine, metrics: WorkerMetrics) -> Batcher:
    fitting = find_fitting_batch(engine, manifest, settings)
    run = metrics.timed(engine.logits)
    limit_seconds = settings.job_time_limit_seconds
    return Batcher(run, settings.max_batch, limit_seconds, kill_this_process, fitting=fitting)


def find_fitting_batch(engine: Engine, manifest: Manifest, settings: Settings) -> int:
    """Find the largest batch, up to MAX_BATCH, that fits into memory; return its size.

    A batch that does not fit is halved instead of ending the worker, which would only be restarted: another program may
    be using the memory for now.

    Raises the engine's error if not even one picture fits, and ModelTooSlow if two such batches in a row (one that the
    job waits for, and its own) may exceed the job's time limit.
    """
    size = settings.max_batch
    while True:
        pictures = np.zeros((size, manifest.input_height, manifest.input_width, 3), np.float32)
        try:
            engine.logits(pictures)
            # Time the second run: the first may include compiling, tuning and allocating.
            began = time.monotonic()
            engine.logits(pictures)
            seconds = time.monotonic() - began
        except Exception as error:
            if size == 1:
                raise
            size = (size + 1) // 2
            log.warning("A batch of %d failed, trying %d: %s", len(pictures), size, error)
        else:
            break
    log.info("the model takes a batch of %d in %.0f ms", size, 1000 * seconds)
    if 2 * seconds > settings.job_time_limit_seconds:
        raise ModelTooSlow(
            f"MAX_BATCH={settings.max_batch}: a batch of {size} takes the model {seconds:.1f} s, too much for jobs "
            f"that may run {settings.job_time_limit_seconds} s. Lower MAX_BATCH or raise JOB_TIME_LIMIT_SECONDS."
        )
    return size


def _make_worker(services: Services, folder: ModelFolder, pool: DecodePool, batcher: Batcher) -> Any:
    threads = count_threads(services.settings.max_batch, services.settings.workers)
    # One job per task: a thread leases its decoder for one picture only.
    consumer = services.connect_consumer(NoProgress(), consume_seconds=0, connections=threads)
    runner = BatchRunner(consumer, pool, batcher, folder, services.times)
    warmed = threading.Event()
    warmed.set()
    return assemble_worker(services, Pool("threads", threads, runner.run), warmed)
