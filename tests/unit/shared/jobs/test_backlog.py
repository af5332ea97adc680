"""How fast the queue drains is an estimate: bounded, forgotten in time, and sane whatever the clocks do."""

from typing import Any

import fakeredis
import pytest

from shared.jobs import backlog
from shared.jobs.backlog import Backlog, BacklogReader
from shared.jobs.limits import JobLimits, limits_of
from shared.jobs.queue import Queue
from shared.settings import Settings

FIRST_MS = 20
HOUR_MS = 3_600_000


@pytest.fixture
def client() -> Any:
    return fakeredis.FakeRedis(server=fakeredis.FakeServer(), decode_responses=True)


def seen(client: Any, interval_ms: float | str, age_ms: int) -> float:
    """Return the interval that is read when one was seen so long ago."""
    seconds, microseconds = client.time()
    finished_ms = seconds * 1000 + microseconds // 1000 - age_ms
    client.hset("jobs:drain", mapping={"interval_ms": interval_ms, "finished_ms": finished_ms})
    return BacklogReader(client, Queue(), limits_of(Settings.from_environ({}))).read().interval_ms


@pytest.mark.parametrize(
    ("age_ms", "expected_ms"), [(0, 1020), (30_000, 520), (60_000, 270), (HOUR_MS, FIRST_MS), (8 * HOUR_MS, FIRST_MS)]
)
def test_an_interval_ages(client: Any, age_ms: int, expected_ms: float) -> None:
    # The process may pause for seconds between the write and the read.
    assert seen(client, 1020, age_ms) == pytest.approx(expected_ms, rel=0.2)


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, 8 * HOUR_MS])
def test_an_end_ahead_of_the_clock_is_old(client: Any, ahead_ms: int) -> None:
    assert seen(client, 1020, -ahead_ms) == pytest.approx(FIRST_MS)


@pytest.mark.parametrize("interval_ms", [1_300_000, 28_800_000, -5000, "nan", "inf", "-inf"])
def test_an_absurd_interval_does_not_count(client: Any, interval_ms: float | str) -> None:
    assert seen(client, interval_ms, 0) == FIRST_MS


def test_what_was_never_seen_is_the_first_guess(client: Any) -> None:
    assert BacklogReader(client, Queue(), limits_of(Settings.from_environ({}))).read().interval_ms == FIRST_MS


@pytest.mark.parametrize(
    ("open_jobs", "stored_bytes", "reason"),
    [(4, 4_000, None), (5, 0, "5 jobs are open; the limit is 5"), (0, 4_001, "the pictures of open jobs take")],
)
def test_a_picture_is_refused_when_it_does_not_fit(open_jobs: int, stored_bytes: int, reason: str | None) -> None:
    # Given this many open jobs and stored bytes
    limits = JobLimits(
        max_open_jobs=5, max_stored_bytes=5_000, attempts=3, result_ttl_seconds=1, tombstone_ttl_seconds=1
    )
    backlog = Backlog(open_jobs, 0, 0, oldest_seconds=0, stored_bytes=stored_bytes, interval_ms=FIRST_MS)
    # When a picture of 1,000 bytes is checked, Then it is refused with the reason if it exceeds a limit
    full = backlog.full(limits, 1_000)
    assert (full is None) if reason is None else (full is not None and reason in str(full))


def test_the_age_of_the_oldest_open_job_is_read(client: Any) -> None:
    reader = BacklogReader(client, Queue(), limits_of(Settings.from_environ({})))
    assert reader.read().oldest_seconds == 0, "no job is open"
    # Given jobs that were accepted ten seconds ago and just now
    seconds, _ = client.time()
    client.zadd("jobs:open", {"old": (seconds - 10) * 1000, "new": seconds * 1000})
    # Then the age is that of the older one
    assert reader.read().oldest_seconds == pytest.approx(10, abs=3)


def test_a_service_that_was_idle_expects_a_quick_end(client: Any) -> None:
    # Given an idle service whose last jobs ended slowly, an hour ago
    seen(client, 9_000, HOUR_MS)
    # When a few jobs are open, Then they are expected to end at once
    assert BacklogReader(client, Queue(), limits_of(Settings.from_environ({}))).read().drain_seconds(4) < 0.1


def run_jobs(client: Any, *workers: str) -> None:
    """Have each of the workers run one more job."""
    for number, worker in enumerate(workers):
        client.hset(f"job:j{number}", "worker", worker)
        client.zadd("jobs:leases", {f"j{number}": number})


def test_running_jobs_are_counted_by_worker(client: Any) -> None:
    reader = BacklogReader(client, Queue(), limits_of(Settings.from_environ({})))
    assert reader.running_by_worker() == {}
    run_jobs(client, "a", "b", "a")
    # Redis has evicted the record of a fourth job
    client.zadd("jobs:leases", {"lost": 9})
    assert reader.running_by_worker() == {"a": 2, "b": 1}


def test_too_many_running_jobs_are_not_read(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = BacklogReader(client, Queue(), limits_of(Settings.from_environ({})))
    monkeypatch.setattr(backlog, "MOST_RUNNING", 3)
    run_jobs(client, *"abc")
    assert reader.running_by_worker() == {"a": 1, "b": 1, "c": 1}
    run_jobs(client, *"abcd")
    assert reader.running_by_worker() is None


def test_the_oldest_job_is_named(client: Any) -> None:
    reader = BacklogReader(client, Queue(), limits_of(Settings.from_environ({})))
    assert reader.read().oldest_id == ""
    client.zadd("jobs:open", {"new": 2, "old": 1})
    assert reader.read().oldest_id == "old"
