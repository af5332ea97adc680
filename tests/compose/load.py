"""Clients that keep the service busy while something happens to it."""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.support.docker import Stack
from tests.support.wait import eventually

# More than three workers have in hand, so that some jobs wait.
CLIENTS = 12


def unseen(picture: bytes) -> bytes:
    """Return the same picture in bytes whose result the service does not know yet."""
    # What follows its end is no part of a picture.
    return picture + secrets.token_bytes(8)


@contextmanager
def load(stack: Stack, picture: bytes) -> Iterator[list[str]]:
    """Have CLIENTS upload while the `with` block runs, each the next one when its last job has ended.

    However fast the workers are, they have work until the block ends. Yields the ids of the jobs that were accepted,
    a list that grows.
    """
    jobs: list[str] = []
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            job = stack.accept(unseen(picture))
            jobs.append(job)
            while not done.is_set() and stack.get(f"/result/{job}", Prefer="wait=2").status_code == 202:
                pass

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(client) for _ in range(CLIENTS)]
        try:
            eventually(lambda: len(jobs) > 2 * CLIENTS, 60, "workers at work")
            yield jobs
        finally:
            done.set()
    # What a client stumbled over fails the test.
    [client.result() for client in running]
