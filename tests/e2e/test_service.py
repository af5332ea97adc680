"""The whole way of a picture through real processes: upload, store, queue, worker, model, Redis, answer."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from api.waiters import RECHECK_SECONDS
from tests.support.processes import RedisServer, Service
from tests.support.repository import ROOT
from tests.support.wait import eventually, in_time

EXAMPLE = ROOT / "examples" / "traffic_light.png"
EXAMPLE_LABEL = "traffic light"


@pytest.fixture(scope="module")
def picture() -> bytes:
    return EXAMPLE.read_bytes()


def labels(result: dict[str, dict[str, object]]) -> list[object]:
    return [result[f"prediction_{place}"]["predicted_label"] for place in range(1, len(result) + 1)]


def test_the_original_call_answers_the_original_shape(service: Service, picture: bytes) -> None:
    # When a picture is uploaded as ever
    answer = service.upload(picture)
    # Then three predictions come back, the most likely first, five decimals at most
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["prediction_1", "prediction_2", "prediction_3"]
    levels = [prediction["confidence_level"] for prediction in body.values()]
    assert levels == sorted(levels, reverse=True) and all(level == round(level, 5) for level in levels)
    assert labels(body)[0] == EXAMPLE_LABEL


def test_another_number_of_labels_can_be_asked_for(service: Service, picture: bytes) -> None:
    answer = requests.post(
        f"{service.url}/upload?top=7", data=picture, headers={"Content-Type": "image/png"}, timeout=40
    )
    assert len(answer.json()) == 7


def test_an_asynchronous_job_is_polled_to_its_end(service: Service, picture: bytes) -> None:
    # Given a job that nobody waits for
    job_id = service.accept(picture)
    # When it has ended
    record = service.finished(job_id)
    # Then its record names labels, model and worker
    ready = service.wait_ready()[0]
    assert labels(record["result"])[0] == EXAMPLE_LABEL
    assert record["status"] == "succeeded" and record["attempts"] == 1
    assert record["model"] == {"name": ready["model"], "digest": ready["digest"]}
    assert record["worker"] == ready["name"]


def test_a_long_poll_returns_when_the_job_ends(service: Service, picture: bytes) -> None:
    # Given a job behind others
    ids = [service.accept(picture) for _ in range(10)]
    # When a client waits for the last one, with one call
    answer = service.result(ids[-1], headers={"Prefer": "wait=30"})
    # Then that call brings the result
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=30"


def test_many_uploads_at_once_are_all_answered(service: Service, picture: bytes) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.upload(picture), range(48)))
    assert [answer.status_code for answer in answers] == [200] * 48
    assert len({answer.headers["Location"] for answer in answers}) == 48


def test_a_damaged_picture_fails_alone(service: Service, picture: bytes) -> None:
    # Given a picture whose header is fine and whose pixels are cut off
    cut = picture[: len(picture) // 2]
    # When it comes between others
    with ThreadPoolExecutor(3) as pool:
        good, bad, after = pool.map(service.upload, [picture, cut, picture])
    # Then it alone is refused, in words
    assert (good.status_code, bad.status_code, after.status_code) == (200, 422, 200)
    assert bad.headers["Content-Type"] == "application/problem+json"
    assert "cannot be decoded" in bad.json()["error"]


def test_finished_jobs_leave_no_picture_behind(service: Service, picture: bytes, service_redis: RedisServer) -> None:
    service.upload(picture)
    service.upload(picture[: len(picture) // 2])
    with service_redis.client() as client:
        eventually(lambda: client.keys("image:*") == [], what="a store without pictures")
        assert client.zcard("jobs:open") == client.zcard("jobs:leases") == 0


def test_an_unknown_id_is_not_found(service: Service) -> None:
    assert service.result("0" * 32).status_code == 404


def test_pictures_can_wait_in_a_folder(
    service_redis: RedisServer, model_dir: Path, tmp_path: Path, picture: bytes
) -> None:
    # Given a service of its own whose pictures lie in a folder
    server = RedisServer(tmp_path / "redis")
    store = f"file://{tmp_path}/pictures"
    service = Service(server.url, tmp_path, model_dir, IMAGE_STORE_URL=store)
    try:
        service.start_api()
        service.start_worker()
        # When a picture is uploaded
        answer = service.upload(picture)
        # Then it is classified, and the folder has its marker only
        assert labels(answer.json())[0] == EXAMPLE_LABEL
        eventually(lambda: not list((tmp_path / "pictures").glob("[!.]*")), what="no more pictures")
    finally:
        service.stop()
        server.kill()


def test_the_tensorflow_engine_serves_too(model_dirs: list[Path], tmp_path: Path, picture: bytes) -> None:
    # Given a worker with the other engine
    server = RedisServer(tmp_path / "redis")
    # A worker does not start if its largest batch takes too long, as 32 pictures may on a busy machine.
    service = Service(server.url, tmp_path, model_dirs[-1], ENGINE="tensorflow", MAX_BATCH="8")
    try:
        service.start_api()
        worker = service.start_worker()
        (record,) = service.wait_ready(seconds=120)
        assert record["engine"] == "tensorflow", worker.output
        # When pictures are uploaded, Then they are recognised, one after the other
        for _ in range(5):
            assert labels(service.upload(picture).json())[0] == EXAMPLE_LABEL
    finally:
        service.stop()
        server.kill()


def test_the_same_bytes_are_classified_once(model_dir: Path, tmp_path: Path, picture: bytes) -> None:
    # Given a service that keeps results
    server = RedisServer(tmp_path / "redis")
    service = Service(server.url, tmp_path, model_dir, RESULT_CACHE_TTL_SECONDS="60")
    try:
        service.start_api()
        service.start_worker()
        service.wait_ready()
        # When the same picture comes twice
        first = service.upload(picture)
        assert first.headers["Cache-Status"] == "topthree; fwd=miss"

        def second_answer() -> requests.Response | None:
            # The API reads the ready workers every second; before, it does not use cached results.
            answer = service.upload(picture)
            return answer if answer.headers["Cache-Status"] == "topthree; hit" else None

        second = eventually(second_answer, 5, "an answer from the cache")
        # Then the second answer is the cached first one, and its record shows that no worker ran
        assert first.json() == second.json()
        record = requests.get(service.url + second.headers["Location"], timeout=10).json()
        assert (record["attempts"], record["status"]) == (0, "succeeded")
    finally:
        service.stop()
        server.kill()


if "TOPTHREE_TEST_MODEL" in os.environ and "TOPTHREE_TEST_PICTURE" in os.environ:

    def test_the_original_example_gives_the_original_labels(model_dirs: list[Path], tmp_path: Path) -> None:
        # Given the weights and the picture of the original program
        football = Path(os.environ["TOPTHREE_TEST_PICTURE"]).read_bytes()
        server = RedisServer(tmp_path / "redis")
        service = Service(server.url, tmp_path, model_dirs[1])
        try:
            service.start_api()
            service.start_worker()
            # When it is uploaded
            answer = service.upload(football, "football.bmp")
            # Then the three labels are those of TensorFlow and Pillow alone, confidences within 0.01
            assert labels(answer.json()) == ["soccer ball", "electric fan", "chainlink fence"]
            levels = [prediction["confidence_level"] for prediction in answer.json().values()]
            assert levels == pytest.approx([0.70635, 0.11719, 0.03694], abs=0.01)
        finally:
            service.stop()
            server.kill()


def test_an_answer_takes_no_detour(service: Service, picture: bytes) -> None:
    # When a picture is uploaded, Then the answer comes before the first recheck, because the job's end is published
    assert in_time(lambda: service.upload(picture), RECHECK_SECONDS).status_code == 200


def test_redis_may_be_behind_a_unix_socket(tmp_path: Path, model_dir: Path, picture: bytes) -> None:
    # Given a Redis that listens on a socket in the file system, whose path must be short
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(tmp_path / "redis", "--unixsocket", f"{folder}/redis")
        service = Service(f"unix://{folder}/redis?db=0", tmp_path, model_dir)
        try:
            # When a picture is uploaded, Then it is answered
            service.start_api()
            service.start_worker()
            service.wait_ready()
            assert service.upload(picture).status_code == 200
        finally:
            service.stop()
            server.kill()
