"""What `python -m shared.jobs.failed` prints and exits with."""

import pytest

from shared.jobs.failed import line, main
from shared.jobs.models import ImageInfo, Job, JobState
from tests.support.processes import RedisServer

PICTURE = ImageInfo(sha256="0" * 64, format="PNG", width=2, height=3, bytes=4)


def failed_job(worker: str, request_id: str) -> Job:
    problem = {"status": 422, "title": "Picture cannot be decoded", "detail": "It is cut off."}
    return Job("j", JobState.FAILED, PICTURE, 3, 2, 0, 0, 1_000, worker, {}, None, problem, 1, "", request_id)


@pytest.mark.parametrize(
    ("worker", "request_id", "shown"), [("w1", "r1", ("[r1]", "on w1")), ("", "", ("[-]", "on -"))]
)
def test_a_failed_job_is_a_line(worker: str, request_id: str, shown: tuple[str, str]) -> None:
    request, place = shown
    assert line(failed_job(worker, request_id)) == (
        f"1970-01-01T00:00:01+00:00  j  {request}  PNG 2x3 4 bytes  started 2 times {place}"
        "  Picture cannot be decoded: It is cut off."
    )


def test_the_exit_code_says_whether_the_jobs_could_be_read(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # When there is nothing to list, Then that is no error
    assert main({"REDIS_URL": redis_server.url, "REDIS_PREFIX": "nothing:"}) == 0
    assert capsys.readouterr().out == "0 failed jobs of the last 3600 s\n"
    # And a bad setting and a Redis that does not answer are errors
    assert main({"REDIS_URL": "http://host"}) == 2
    assert main({"REDIS_URL": "redis://127.0.0.1:1/0"}) == 1
    assert capsys.readouterr().out == ""
