"""`python -m worker.jobs.sweep`: deletes pictures that a crash has left behind; workers start it regularly.

It is a separate program because a sweep of a bucket can take minutes: it would block the worker's event loop, and a
thread is unsafe in a process that forks children.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import redis

from shared.errors import GoneJob, UnknownJob
from shared.images.history import StoreHistory
from shared.images.store import IMAGE_TTL_SECONDS, is_in_redis, open_image_store
from shared.jobs.limits import limits_of
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.log import configure_logging
from shared.redis_client import connect
from shared.settings import Settings, SettingsError

log = logging.getLogger("worker.jobs.sweep")

SWEEP_SECONDS = 600
SWEEP_LEASE_KEY = "repair:sweep"
# Less than the lease, so that no two sweeps overlap. The next sweep deletes what this one did not reach.
MOST_SECONDS = 540
# Interval of the check that the worker is still alive.
LOOK_SECONDS = 1.0
ROOT = Path(__file__).parents[2]


class Sweep:
    """Starts a sweep when one is due; one worker sweeps at a time."""

    def __init__(self, client: redis.Redis, queue: Queue, image_store_url: str) -> None:
        """`client` may be shared with the worker's maintenance."""
        self._redis = client
        self._lease_key = queue.key(SWEEP_LEASE_KEY)
        self._needed = not is_in_redis(image_store_url)
        self._process: subprocess.Popen[bytes] | None = None

    def run_if_due(self) -> None:
        """Start a sweep if none has been started in the last SWEEP_SECONDS, and return at once."""
        if not self._needed or self._running():
            return
        try:
            if self._redis.set(self._lease_key, 1, nx=True, ex=SWEEP_SECONDS):
                command = [sys.executable, "-m", "worker.jobs.sweep", str(os.getpid())]
                self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        except (redis.RedisError, OSError) as error:
            log.warning("A sweep could not be started: %s", error)

    def close(self) -> None:
        """Kill a running sweep; the next sweep does the rest."""
        if self._running():
            assert self._process is not None
            self._process.kill()
            self._process.wait()

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None


def main(arguments: list[str]) -> int:
    """Sweep once for the worker with this process id; return the exit code."""
    _end_with(int(arguments[0]))
    # A time limit that holds even if the store hangs: the signal's default action ends the process.
    signal.alarm(MOST_SECONDS)
    settings = Settings.from_environ(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    client = connect(settings.redis_url, max_connections=2, patient=True)
    queue = Queue(settings.redis_prefix)
    try:
        images = open_image_store(settings.image_store_url, StoreHistory(client, queue))
        images.sweep(IMAGE_TTL_SECONDS, NeededPictures(Jobs(client, queue, limits_of(settings))).contains)
    except (OSError, SettingsError, redis.RedisError) as error:
        log.warning("Leftover pictures could not be deleted: %s", error)
        return 1
    return 0


class NeededPictures:
    """Decides which pictures are still needed."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def contains(self, job_id: str) -> bool:
        """Whether the job is still open, or has failed and its picture is kept for a retry."""
        try:
            is_open = not self._jobs.get(job_id).state.terminal
        except (UnknownJob, GoneJob):
            is_open = False
        return is_open or self._jobs.kept.contains(job_id)


def _end_with(worker_pid: int) -> None:
    """End this process when its worker ends, even if the worker is killed."""

    def watch() -> None:
        pause = threading.Event()
        while os.getppid() == worker_pid:
            pause.wait(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="worker watch", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
