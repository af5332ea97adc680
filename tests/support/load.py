"""Clients that keep the service busy while something happens to it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.support.docker import Stack
from tests.support.wait import eventually

# More than three workers have in hand, so that some jobs wait.
CLIENTS = 12


@contextmanager
def load(stack: Stack, picture: bytes) -> Iterator[list[str]]:
    """Have CLIENTS upload while the `with` block runs, each the next one when its last job has ended.

    However fast the workers are, they have work until the block ends. Yields the ids of the jobs that were accepted,
    a list that grows.
    """
    jobs: list[str] = []
    done = threading.Event()

    def client(name: int) -> None:
        number = 0
        while not done.is_set():
            # What follows the end of a picture is no part of it, but the service has not seen these bytes before.
            job = stack.accept(picture + f"{name}-{number}".encode())
            jobs.append(job)
            number += 1
            while not done.is_set() and stack.get(f"/result/{job}", Prefer="wait=2").status_code == 202:
                pass

    with ThreadPoolExecutor(CLIENTS) as clients:
        running = [clients.submit(client, name) for name in range(CLIENTS)]
        try:
            eventually(lambda: len(jobs) > 2 * CLIENTS, 60, "workers at work")
            yield jobs
        finally:
            done.set()
    # What a client stumbled over fails the test.
    [client.result() for client in running]
