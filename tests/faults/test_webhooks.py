"""Senders are killed, Redis restarts, receivers are away or hang: every outcome arrives, and none delays the others."""

import random
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from shared.jobs.admission import JobRequest
from shared.jobs.deliveries import Deliveries
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo
from shared.jobs.queue import Queue
from shared.jobs.store import Jobs
from shared.redis_client import connect
from shared.redis_url import parse_redis_url
from tests.faults.conftest import Scale
from tests.support.fault_report import Row, forget_row, write_row
from tests.support.outcomes import succeed
from tests.support.processes import Process, RedisServer
from tests.support.supervised import kill_process, outlast
from tests.support.wait import eventually
from tests.support.webhook_receiver import SECRET, WebhookReceiver

PICTURE = ImageInfo("0" * 64, "PNG", 1, 1, 4)
LABELS = {"prediction_1": {"confidence_level": 0.5, "predicted_label": "cat"}}
SENDERS = 2
PER_SECOND = 200


class Outcomes:
    """Ends jobs with webhooks, whatever happens to Redis, and knows which."""

    def __init__(self, server: RedisServer) -> None:
        client = connect(parse_redis_url(server.url), max_connections=4, patient=True)
        self._jobs = Jobs(client, Queue(), JobLimits(1_000_000, 1_000_000_000, 1, 3600, 3600))
        self.deliveries = Deliveries(client, Queue())
        self.ended: dict[str, float] = {}

    def end(self, url: str) -> None:
        """End a job; until Redis has done it."""
        job_id = secrets.token_hex(16)
        for call in (
            lambda: self._jobs.admit(job_id, JobRequest(PICTURE, 1, webhook=url)),
            lambda: succeed(self._jobs, job_id, LABELS, {}),
        ):
            eventually(lambda call=call: _done(call), 120, "an answer of Redis")
        self.ended[f"msg_{job_id}"] = time.monotonic()

    @contextmanager
    def traffic(self, count: int, url: Callable[[], str], per_second: float = PER_SECOND) -> Iterator[None]:
        """End `count` jobs while the block runs, and after it those that are left."""

        def end_all() -> None:
            for _ in range(count):
                self.end(url())
                outlast(1 / per_second)

        thread = threading.Thread(target=end_all)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def _done(call: Callable[[], object]) -> bool:
    with suppress(redis.RedisError, OSError):
        call()
        return True
    return False


class Senders:
    """Processes that send, each of which can be killed and is started again."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self._environ = {
            "REDIS_URL": server.url,
            "WEBHOOK_SECRET": SECRET,
            # Two hosts on one machine.
            "WEBHOOK_ALLOWED_HOSTS": "127.0.0.1,localhost",
        }
        self._folder = folder
        self.processes = [self._start() for _ in range(SENDERS)]
        self.kills = 0

    def _start(self) -> Process:
        command = [sys.executable, "-m", "worker.webhooks"]
        return Process(command, self._folder / f"webhooks-{secrets.token_hex(4)}.log", **self._environ)

    def kill_one(self) -> None:
        place = random.randrange(SENDERS)
        kill_process(self.processes[place])
        self.processes[place] = self._start()
        self.kills += 1

    def close(self) -> None:
        for process in self.processes:
            process.kill()


@pytest.fixture
def outcomes(server: RedisServer) -> Outcomes:
    return Outcomes(server)


@pytest.fixture
def senders(server: RedisServer, tmp_path: Path) -> Iterator[Senders]:
    senders = Senders(server, tmp_path)
    yield senders
    senders.close()


def settle(case: str, scale: Scale, outcomes: Outcomes, senders: Senders, *receivers: WebhookReceiver) -> Row:
    """Wait until no delivery is open, and write the row; `duplicated` are receipts beyond the first."""
    began = min(outcomes.ended.values())
    eventually(lambda: outcomes.deliveries.backlog().open == 0, 300, "an end of all deliveries")
    received = [receiver.arrived[message_id] for message_id in outcomes.ended for receiver in receivers]
    finished = sum(count > 0 for count in received)
    row = Row(
        case=case,
        scale=scale.name,
        accepted=len(outcomes.ended),
        finished=finished,
        lost=len(outcomes.ended) - finished,
        unexpected=sum(len(receiver.flaws) for receiver in receivers),
        duplicated=sum(max(0, count - 1) for count in received),
        refused=0,
        unknown=0,
        restarted=senders.kills,
        seconds=round(time.monotonic() - began, 1),
    )
    write_row(row)
    assert (row.lost, row.unexpected) == (0, 0)
    assert outcomes.deliveries.given_up() == []
    return row


def test_no_webhook_is_lost(outcomes: Outcomes, senders: Senders, server: RedisServer, scale: Scale) -> None:
    case = "webhooks: senders killed, Redis restarted, receiver away"
    forget_row(case, scale.name)
    # Given two receivers, and jobs that end
    with WebhookReceiver() as first, WebhookReceiver() as second:
        urls = [first.url, second.url.replace("127.0.0.1", "localhost")]
        with outcomes.traffic(scale.webhooks, lambda: random.choice(urls)):
            for number in range(scale.worker_kills):
                # When senders are killed while they send
                eventually(lambda before=first.attempts: first.attempts > before, 60, "an attempt")
                senders.kill_one()
                outlast(random.uniform(0.1, 1))
                # And one receiver fails for a while
                second.status = 500 if number % 2 == 0 else 204
                # And Redis restarts, in an orderly way and by force
                if number < scale.restarts:
                    (server.stop if number % 2 else server.kill)()
                    outlast(0.5)
                    server.start()
        second.status = 204
        # Then every outcome arrives
        settle(case, scale, outcomes, senders, first, second)


def test_a_receiver_that_hangs_delays_no_other(outcomes: Outcomes, senders: Senders, scale: Scale) -> None:
    case = "webhooks: a receiver hangs"
    forget_row(case, scale.name)
    with WebhookReceiver() as good, WebhookReceiver(status=0) as hanging:
        hanging_url = hanging.url.replace("127.0.0.1", "localhost")
        # Given more outcomes for a receiver that hangs than are sent at a time
        for _ in range(scale.slow_jobs * 5):
            outcomes.end(hanging_url)
        eventually(lambda: hanging.attempts >= 10, 30, "attempts that hang")
        # When jobs of others end
        waiting = set(outcomes.ended)
        for _ in range(scale.slow_jobs):
            outcomes.end(good.url)
            outlast(0.05)
        others = outcomes.ended.keys() - waiting
        # Then they arrive within a second
        eventually(lambda: good.arrived.keys() >= others, 30, "the others' outcomes")
        delays = [good.seconds[message_id] - outcomes.ended[message_id] for message_id in others]
        print(f"\nlongest delay beside a receiver that hangs: {max(delays):.3f} s")
        assert max(delays) < 1
