"""Messages that were lost are noticed and published again."""

from typing import Any

from shared.jobs.claims import Claim
from shared.jobs.store import Jobs
from tests.contract.jobs.bench import LONG, REQUEST, admit
from tests.support.claims import claim_job
from tests.support.messages import take_all
from tests.support.wait import eventually
from worker.jobs.stalled import LostMessages, StalledJobs


def age(client: Any, *job_ids: str) -> None:
    """Make it long ago that the jobs were published."""
    for job_id in job_ids:
        client.hset(f"job:{job_id}", "published_ms", 1)


def test_a_backlog_alone_has_lost_no_message(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given jobs that have waited for long, with their messages in the queue
    admit(jobs, *"abc")
    age(client, *"abc")
    # Then none of them is published again
    assert stalled.publish_lost().published == []


def test_a_message_is_lost_when_a_later_job_was_claimed(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given two queued jobs, the second accepted later
    admit(jobs, "early")
    eventually(lambda: jobs.admit("late", REQUEST) and _apart(client))
    age(client, "early")
    # When the later one begins
    claim_job(jobs, "late", Claim("x", "w", LONG))
    # Then the earlier one is published again, once
    assert stalled.publish_lost().published == ["early"]
    assert stalled.publish_lost().published == []
    assert take_all(client)[-1] == "early"


def _apart(client: Any) -> bool:
    """Whether the two jobs were accepted in different milliseconds; if not, the later one is admitted anew."""
    apart = client.hget("job:early", "accepted_ms") != client.hget("job:late", "accepted_ms")
    if not apart:
        client.delete("job:late")
    return bool(apart)


def test_a_message_is_lost_when_the_queue_is_empty(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given a job whose message was lost, some time ago
    admit(jobs, "j")
    take_all(client)
    assert stalled.publish_lost().published == [], "it was published just now"
    age(client, "j")
    # Then it is published again
    assert stalled.publish_lost().published == take_all(client) == ["j"]


def test_every_lost_message_is_published_again(jobs: Jobs, client: Any, stalled: StalledJobs) -> None:
    # Given jobs whose messages were lost some time ago
    admit(jobs, *"abc")
    take_all(client)
    age(client, *"abc")
    # Then all are published again, and no record is missing
    assert stalled.publish_lost() == LostMessages([*"abc"], [])
