"""The loop that sends: due deliveries go out at once, and no receiver holds up another one's."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.jobs.admission import JobRequest
from shared.jobs.deliveries import MOST_PER_RECEIVER, Deliveries
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_client import connect
from shared.redis_url import parse_redis_url
from tests.support.outcomes import succeed
from tests.support.processes import RedisServer
from tests.support.wait import eventually
from worker.webhooks.guarded_http import NoAnswer
from worker.webhooks.loop import POLL_SECONDS, SLOTS, SendLoop, wake_on_notice
from worker.webhooks.schedule import RetrySchedule
from worker.webhooks.sender import Sender

QUEUE = Queue("p:")
SLOW, GOOD = "https://slow.example/", "https://good.example/"


class StubHttp:
    """Receivers, of which one hangs until it is freed."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.hanging = 0
        self.arrived: dict[str, float] = {}

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        if url == SLOW:
            self.hanging += 1
            self.freed.wait(60)
            raise NoAnswer("it did not answer in time")
        self.arrived[headers["webhook-id"]] = time.monotonic()
        return 200


class Bench:
    def __init__(self, client: Any, server: RedisServer) -> None:
        self.jobs = Jobs(client, QUEUE, JobLimits(10_000, 10_000, 1, 100, 100))
        self.deliveries = Deliveries(client, QUEUE)
        self.http = StubHttp()
        url = parse_redis_url(server.url)
        own = connect(url, max_connections=16, patient=True, connection_wait_seconds=10)
        sender = Sender(Deliveries(own, QUEUE), self.http, [b"x" * 32], RetrySchedule(100))
        self.loop = SendLoop(Deliveries(own, QUEUE), sender)
        wake_on_notice(connect(url, max_connections=1), QUEUE, self.loop)
        self.thread = threading.Thread(target=self.loop.run)

    def end(self, job_id: str, url: str) -> None:
        self.jobs.admit(job_id, JobRequest(ImageInfo("0" * 64, "PNG", 1, 1, 4), 1, webhook=url))
        succeed(self.jobs, job_id, {}, {})

    def close(self) -> None:
        self.http.freed.set()
        self.loop.stop()
        self.thread.join(30)


@pytest.fixture
def bench(client: Any, redis_server: RedisServer) -> Iterator[Bench]:
    bench = Bench(client, redis_server)
    bench.thread.start()
    yield bench
    bench.close()


def test_a_delivery_is_sent_when_its_job_ends(bench: Bench) -> None:
    # Given a loop that has nothing to do, When jobs end, Then their deliveries arrive, most before it would look itself
    delays = []
    for number in range(5):
        began = time.monotonic()
        bench.end(f"j{number}", GOOD)
        eventually(lambda number=number: f"msg_j{number}" in bench.http.arrived, 5, "a delivery")
        delays.append(bench.http.arrived[f"msg_j{number}"] - began)
    assert min(delays) < POLL_SECONDS / 2, delays
    assert bench.deliveries.backlog().attempts["delivered"] == 5


def test_many_deliveries_to_one_receiver_all_arrive(bench: Bench) -> None:
    for number in range(200):
        bench.end(f"j{number}", GOOD)
    eventually(lambda: len(bench.http.arrived) == 200, 30, "all deliveries")
    eventually(lambda: bench.deliveries.backlog().open == 0, 10, "an end of all deliveries")


def test_a_receiver_that_hangs_delays_no_other_ones(bench: Bench) -> None:
    # Given more deliveries to a receiver that hangs than are sent at a time
    for number in range(SLOTS * 2):
        bench.end(f"slow-{number}", SLOW)
    eventually(lambda: bench.http.hanging == MOST_PER_RECEIVER, 10, "a receiver that is busy")
    # When others are due, Then they arrive while it hangs
    for number in range(30):
        bench.end(f"good-{number}", GOOD)
    eventually(lambda: len(bench.http.arrived) == 30, 10, "the other deliveries")
    # And no more was sent to the one that hangs
    assert bench.http.hanging == MOST_PER_RECEIVER


def test_the_loop_stops_without_waiting_for_a_receiver_that_hangs(bench: Bench) -> None:
    bench.end("slow", SLOW)
    eventually(lambda: bench.http.hanging == 1, 10, "a receiver that hangs")
    bench.loop.stop()
    bench.thread.join(10)
    assert not bench.thread.is_alive()
