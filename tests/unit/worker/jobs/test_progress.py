"""A child tells its parent which job it is at and what it does with it."""

import time

import pytest

from worker.jobs import progress as progress_module
from worker.jobs.progress import ChildProgress, SharedProgress, Stage


class Place:
    """A child's place in its pool."""

    index = 1


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> SharedProgress:
    monkeypatch.setattr(progress_module, "current_process", Place)
    return SharedProgress(2)


def test_a_parent_sees_which_job_a_child_is_at(progress: SharedProgress) -> None:
    # Given a child (this process) to which a task was delivered
    progress.begin("t")
    assert progress.of("t") == ChildProgress("", Stage.IDLE, 0)
    # When it runs a job, ends it, and has ended it
    progress.run("j")
    assert progress.of("t") == ChildProgress("j", Stage.RUNNING, 0)
    progress.end()
    assert progress.of("t") == ChildProgress("j", Stage.ENDING, 0)
    progress.idle()
    # Then each was seen, and nothing is told of other tasks
    assert progress.of("t") == ChildProgress("", Stage.IDLE, 0)
    assert progress.of("j") is None


def test_a_task_that_was_delivered_to_two_children_is_the_later_ones(
    progress: SharedProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a child that dropped a task, and another one to which it was delivered again
    progress.begin("t")
    monkeypatch.setattr(Place, "index", 0)
    progress.begin("t")
    progress.run("t")
    # Then the parent sees the job of the second
    assert progress.of("t") == ChildProgress("t", Stage.RUNNING, 0)


def test_a_parent_sees_what_cpu_time_a_childs_decoding_has_had(progress: SharedProgress) -> None:
    # Given a child (this process) that decodes, and has spent 0.3 seconds
    progress.begin("t")
    progress.run("j")
    with progress:
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        # Then that is seen
        seen = progress.of("t")
        assert seen is not None and seen.stage is Stage.DECODING
        assert seen.decode_seconds == pytest.approx(0.3, abs=0.1)
    # And when it has ended, nothing
    assert progress.of("t") == ChildProgress("j", Stage.RUNNING, 0)
