"""Jobs are known by their ids, to their owners only."""

from typing import Any

import pytest

from shared.errors import GoneJob, UnknownJob
from shared.jobs.admission import JobRequest
from shared.jobs.claims import Claim
from shared.jobs.models import Origin
from shared.jobs.store import Jobs
from shared.result_cache import KnownResult
from tests.contract.jobs.bench import LIMITS, LONG, MODEL, PICTURE, admit
from tests.support.claims import claim_next
from tests.support.outcomes import succeed


def test_an_id_that_never_was_is_unknown(jobs: Jobs) -> None:
    with pytest.raises(UnknownJob):
        jobs.get("nobody")


def test_a_job_has_an_owner_and_the_id_of_its_request_to_its_end_and_beyond(jobs: Jobs, client: Any) -> None:
    # Given a job with both, and one whose result was known
    order = JobRequest(PICTURE, 3, owner="alice", request_id="r1")
    jobs.admit("j", order)
    jobs.admit("k", order, known=KnownResult({}, MODEL))
    # Then whoever begins it knows both
    begun = claim_next(jobs, Claim("x", "w", LONG))
    assert begun is not None and (begun.job.owner, begun.job.request_id) == ("alice", "r1")
    # And when it has ended and was deleted or has outlived its time, it still has its owner
    succeed(jobs, "j", {}, MODEL)
    assert jobs.get("j", "alice").owner == jobs.get("k", "alice").owner == "alice"
    jobs.delete("j")
    client.delete("job:k")
    for job_id in ("j", "k"):
        with pytest.raises(GoneJob):
            jobs.get(job_id, "alice")
    assert 0 < client.ttl("gone:j") <= LIMITS.tombstone_ttl_seconds


def test_a_job_may_be_nobodys_as_all_were_before_there_were_owners(jobs: Jobs, client: Any) -> None:
    admit(jobs, "j")
    assert not {"owner", "request_id"} & set(client.hgetall("job:j"))
    assert jobs.get("j").owner == ""


def test_a_job_of_somebody_else_or_of_nobody_is_unknown_to_its_end_and_beyond(jobs: Jobs) -> None:
    # Given a job of Bob's and one of nobody's, Then Alice learns no more of them than of one that never was
    jobs.admit("bobs", JobRequest(PICTURE, 3, owner="bob"))
    admit(jobs, "nobodys")
    for _ in range(2):
        for job_id in ("bobs", "nobodys", "never was"):
            with pytest.raises(UnknownJob, match=r"^There is no job with this id\.$"):
                jobs.get(job_id, "alice")
        # And the same when they are gone
        for job_id in ("bobs", "nobodys"):
            succeed(jobs, job_id, {}, MODEL)
            jobs.delete(job_id)


def test_the_requests_and_traces_of_jobs_are_known(jobs: Jobs) -> None:
    jobs.admit("a", JobRequest(PICTURE, 3, request_id="r1", traceparent="00-t-s-01"))
    admit(jobs, "b")
    assert jobs.origins(["a", "b", "never was"]) == [Origin("r1", "00-t-s-01"), Origin(), Origin()]
    assert jobs.origins([]) == []
