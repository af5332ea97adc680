"""Pauses between attempts grow, and end after a day."""

import random

from shared.jobs.deliveries import Delivery
from shared.jobs.models import ImageInfo, Job, JobState
from worker.webhooks.schedule import RetrySchedule

DAY_SECONDS = 86_400
JOB = Job("j", JobState.SUCCEEDED, ImageInfo("0" * 64, "PNG", 1, 1, 4), 1, 1, 0, 0, 0, "w", {}, {}, None, 1, "", "")


def delivery(attempts: int, waited_seconds: float = 0, age_seconds: float = 0) -> Delivery:
    return Delivery(attempts, waited_seconds, age_seconds, "x", JOB)


def pauses(schedule: RetrySchedule) -> list[float]:
    """Return all pauses of a delivery that always fails."""
    found: list[float] = []
    while (pause := schedule.pause_seconds(delivery(len(found) + 1, sum(found)))) is not None:
        found.append(pause)
    return found


def test_the_pauses_grow_to_an_hour_and_add_up_to_a_day() -> None:
    found = pauses(RetrySchedule(DAY_SECONDS, random.Random(1)))
    assert 3.75 <= found[0] <= 6.25
    assert all(earlier < later * 0.9 for earlier, later in zip(found[:8], found[2:10], strict=True))
    assert max(found) <= 3600 * 1.25
    assert round(sum(found), 6) == DAY_SECONDS
    assert 28 < len(found) < 40


def test_deliveries_that_fail_together_do_not_return_together() -> None:
    schedule = RetrySchedule(DAY_SECONDS)
    assert len({schedule.pause_seconds(delivery(1)) for _ in range(10)}) > 5


def test_without_time_a_delivery_is_given_up_after_one_attempt() -> None:
    assert RetrySchedule(0).pause_seconds(delivery(1)) is None


def test_a_delivery_that_waited_for_others_is_given_up_by_its_age() -> None:
    schedule = RetrySchedule(DAY_SECONDS)
    assert schedule.pause_seconds(delivery(2, waited_seconds=5, age_seconds=DAY_SECONDS)) is None
    # A clock that was set back makes no delivery live longer
    assert schedule.pause_seconds(delivery(30, waited_seconds=DAY_SECONDS, age_seconds=-3600)) is None


def test_any_number_of_attempts_has_a_pause() -> None:
    assert RetrySchedule(DAY_SECONDS).pause_seconds(delivery(100_000)) is not None
