"""The states of a job and its record."""

from shared.jobs.models import TRANSITIONS, Job, JobState


def test_the_terminal_states_are_those_without_a_way_out() -> None:
    assert {state for state in JobState if state.terminal} == {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELED,
        JobState.EXPIRED,
    }


def test_only_queued_and_running_lead_anywhere() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert JobState.QUEUED in TRANSITIONS[JobState.RUNNING]
    assert JobState.RUNNING in TRANSITIONS[JobState.QUEUED]
    assert JobState.EXPIRED not in TRANSITIONS[JobState.RUNNING], "what has begun is finished"


def test_a_record_of_a_later_version_can_be_read() -> None:
    # Given a record with a field that this version does not know
    record = {
        **{"state": "queued", "sha256": "0", "format": "PNG", "width": "2", "height": "3", "bytes": "4"},
        **{"top": "3", "attempts": "0", "accepted_ms": "5", "format_version": "2", "color": "blue"},
    }
    # When it is read
    job = Job.from_hash("j", record)
    # Then the known fields are there
    assert (job.state, job.picture.height, job.format_version, job.result) == (JobState.QUEUED, 3, 2, None)
    # And what an earlier version did not write is empty
    assert (job.owner, job.request_id) == ("", "")
    # And fields of later states are empty
    assert (job.begun_ms, job.finished_ms, job.worker, job.model) == (0, 0, "", {})
