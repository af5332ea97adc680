"""Checks before a worker takes jobs."""

import logging
import multiprocessing
import time
from collections.abc import Callable

import redis

from shared.redis_server import RedisServer, reason_of

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0


def semaphore_flaw() -> str:
    """Return why the processes of a worker cannot share semaphores; "" if they can."""
    try:
        multiprocessing.get_context("fork").Lock()
    except (OSError, ImportError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return (
            f"A worker keeps its semaphores in /dev/shm, which cannot be used ({reason}). Mount a writable tmpfs there."
        )
    return ""


def wait_for_server(server: RedisServer, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait while Redis answers but cannot run jobs; log the reason whenever it changes.

    Return if Redis is unreachable or refuses the password: Celery retries until it can connect.
    """
    told = ""
    while True:
        flaw, can_start = _look(server)
        if flaw and flaw != told:
            log.error("Not ready: %s", flaw)
            told = flaw
        if can_start:
            return
        sleep(POLL_SECONDS)


def _look(server: RedisServer) -> tuple[str, bool]:
    try:
        state = server.state()
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        return reason_of(error), True
    except redis.RedisError as error:
        return reason_of(error), False
    # Do not wait for a server that may evict keys: run the accepted jobs before it drops them.
    return state.flaw, not state.unusable
