"""Clients that upload at a steady rate, each picture with an `Idempotency-Key` and again after an error."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from tests.compose.load import unseen
from tests.support.docker import Stack
from tests.support.wait import eventually

# Of one client; a worker does some forty a second.
UPLOADS_PER_SECOND = 4


@dataclass
class Seen:
    """What clients saw: how often which status or error, and the job of each upload that was accepted."""

    told: Counter[str] = field(default_factory=Counter)
    jobs: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def uploads(self) -> int:
        """The number of pictures that were sent, once or more often."""
        return len(self.keys)


@contextmanager
def traffic(stack: Stack, picture: bytes, clients: int) -> Iterator[Seen]:
    """Have `clients` upload while the `with` block runs, as the guide says: with a key for each, again after an error.

    Every second upload waits for its result; the others are only accepted.
    """
    seen, done = Seen(), threading.Event()

    def client(name: int) -> None:
        number = 0
        while not done.wait(1 / UPLOADS_PER_SECOND):
            key = f"{id(seen)}-{name}-{number}"
            headers = {"Content-Type": "image/png", "Idempotency-Key": key}
            if number % 2:
                headers["Prefer"] = "respond-async"
            data = unseen(picture)
            seen.keys.append(key)
            seen.jobs.append(eventually(lambda: attempt(data, headers), 60, "an accepted upload"))  # noqa: B023
            number += 1

    def attempt(data: bytes, headers: dict[str, str]) -> str | None:
        try:
            answer = requests.post(f"{stack.url}/upload", data, headers=headers, timeout=70)
        except requests.ConnectionError:
            seen.told["connection"] += 1
            done.wait(0.2)
            return None
        seen.told[str(answer.status_code)] += 1
        if answer.status_code in (200, 202, 504):
            return answer.headers["Location"].rpartition("/")[2]
        if answer.status_code == 502:
            done.wait(0.2)
            return None
        assert answer.status_code == 503 and "Retry-After" in answer.headers, answer.text
        return None

    threads = [threading.Thread(target=client, args=(name,)) for name in range(clients)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(seen.jobs) > 2 * clients, 30, "a load")
        yield seen
        enough = len(seen.jobs) + 4 * clients
        eventually(lambda: len(seen.jobs) > enough, 60, "a load to the end")
    finally:
        done.set()
        for thread in threads:
            thread.join()
