"""The worker that forms batches: real processes, on the CPU; with real weights, and with a model that misbehaves."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import MODELS
from tests.support.batch_worker import BATCH_SECONDS, BLUE, FITS, HANG, RED, make_picture
from tests.support.figures import Observed, value
from tests.support.pictures import PHOTOGRAPHS, encode, photograph
from tests.support.processes import Process, RedisServer
from tests.support.supervised import alive, children, outlast
from tests.support.wait import eventually
from worker.inference.classifier import Classifier
from worker.inference.engines import load_engine
from worker.inference.image_function import ImageFunction, find_image_function
from worker.inference.model_folder import ModelFolder

STUB = "tests.support.batch_worker"


@pytest.fixture
def make_service(server: RedisServer, tmp_path: Path, model_dir: Path) -> Iterator[Callable[..., Observed]]:
    """What starts an API of its own; its workers form batches."""
    made: list[Observed] = []

    def make(model: Path = model_dir, **settings: str) -> Observed:
        made.append(Observed(server.url, tmp_path / "service", model, ENGINE="tensorflow", **settings))
        made[-1].start_api()
        return made[-1]

    yield make
    for service in made:
        service.stop()


@pytest.fixture
def service(make_service: Callable[..., Observed]) -> Observed:
    """A service whose batches take 50 ms, so that some form."""
    return make_service(**{BATCH_SECONDS: "0.05"})


@pytest.fixture
def labels(model_dir: Path) -> tuple[str, ...]:
    return ModelFolder.open(model_dir).labels


def batches(service: Observed, le: str = "+Inf") -> float:
    """Return how many batches the worker has run of at most so many pictures."""
    return value(service.of_worker, "batch_pictures_bucket", le=le)


def first_label(record: dict[str, Any]) -> str:
    return str(record["result"]["prediction_1"]["predicted_label"])


def decoder_of(worker: Process) -> int:
    (decoder,) = children(worker.pid)
    return decoder


def running(service: Observed, job_id: str) -> bool:
    return bool(service.result(job_id).json().get("status") == "running")


@pytest.mark.parametrize("place", MODELS)
def test_many_uploads_form_batches_and_get_the_answers_of_litert(
    make_service: Callable[..., Observed], model_dirs: list[Path], place: int
) -> None:
    # Given a worker with TensorFlow, real photographs, and what LiteRT says of them alone
    folder = ModelFolder.open(model_dirs[place])
    service = make_service(folder.path, WORKERS="2")
    service.start_worker()
    service.wait_ready(seconds=120)
    pictures = [encode(photograph(name).resize((320, 240)), "JPEG", quality=90) for name in PHOTOGRAPHS]
    litert = Classifier(load_engine("litert", folder), folder)
    expected = [litert.classify(data, 3) for data in pictures]
    # When all come at once, thrice, with a broken one among them
    broken = pictures[0][: len(pictures[0]) // 2]
    with ThreadPoolExecutor(24) as pool:
        *answers, refused = pool.map(service.upload, [*(3 * pictures), broken])
    # Then each has its own answer, the same as LiteRT's
    for answer, predictions in zip(answers, 3 * expected, strict=True):
        found = list(answer.json().values())
        assert found[0]["predicted_label"] == predictions[0].label
        for one, other in zip(found, predictions, strict=True):
            assert one["confidence_level"] == pytest.approx(other.confidence, abs=0.005)
    # And the broken one alone is refused
    assert refused.status_code == 422
    # And they were run together
    assert value(service.of_worker, "batch_pictures_sum") == len(answers)
    assert batches(service) < len(answers)


def test_the_network_is_traced_once_and_results_do_not_depend_on_the_batch(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the engine and some pictures (TensorFlow calls the network's Python function once per trace)
    from worker.inference.engines import tensorflow

    traced = []

    def find(model: Any) -> ImageFunction:
        found = find_image_function(model)

        def call(pictures: Any) -> Any:
            traced.append(pictures)
            return found.call(pictures)

        return replace(found, call=call)

    monkeypatch.setattr(tensorflow, "find_image_function", find)
    folder = ModelFolder.open(model_dir)
    engine: Any = load_engine("tensorflow", folder)
    side = (folder.manifest.input_height, folder.manifest.input_width)
    pictures = np.random.default_rng(0).random((5, *side, 3), np.float32)
    # When they are run alone and together
    alone = np.concatenate([engine.logits(picture[np.newaxis]) for picture in pictures])
    together = np.concatenate([engine.logits(pictures[:2]), engine.logits(pictures[2:])])
    # Then the answers are the same
    assert np.allclose(alone, together, atol=1e-3)
    # And no size had a trace of its own
    assert len(traced) == 1


def test_no_batch_is_larger_than_the_setting(service: Observed, labels: tuple[str, ...]) -> None:
    # Given a worker that may take four at once, and many pictures
    service.start_worker(STUB, MAX_BATCH="4", WORKERS="2")
    service.wait_ready()
    ids = {grey: service.accept(make_picture(grey)) for grey in range(60)}
    # When all are answered, Then rightly
    for grey, job_id in ids.items():
        assert first_label(service.finished(job_id)) == labels[grey]
    # And in batches of up to four
    assert batches(service, le="1.0") < batches(service, le="4.0") == batches(service)


def test_a_picture_that_the_model_refuses_fails_alone(service: Observed) -> None:
    # Given pictures that wait for a worker, one of which its model cannot take
    ids = [service.accept(make_picture(grey)) for grey in range(20)]
    bad = service.accept(make_picture(RED))
    ids += [service.accept(make_picture(grey)) for grey in range(20, 40)]
    # When a worker comes
    service.start_worker(STUB)
    # Then all others are answered
    assert {service.finished(job_id)["status"] for job_id in ids} == {"succeeded"}
    assert service.finished(bad)["problem"]["title"] == "Model failed"
    assert batches(service, le="1.0") < batches(service)


def test_one_bad_picture_among_many_ends_neither_the_worker_nor_another_job(
    make_service: Callable[..., Observed], labels: tuple[str, ...]
) -> None:
    # Given 64 pictures, one of which the model refuses, and a model that takes half a second for any batch
    service = make_service(**{BATCH_SECONDS: "0.5", "MAX_BATCH": "64", "WORKERS": "2"})
    ids = {grey: service.accept(make_picture(grey)) for grey in range(31)}
    bad = service.accept(make_picture(RED))
    ids |= {grey: service.accept(make_picture(grey)) for grey in range(31, 63)}
    # When a worker takes them
    worker = service.start_worker(STUB)
    # Then 63 have the right answers at their first attempt, one has failed, and the worker lives
    records = {grey: service.finished(job_id, 60) for grey, job_id in ids.items()}
    assert all(first_label(record) == labels[grey] for grey, record in records.items())
    failed = service.finished(bad)
    assert failed["problem"]["title"] == "Model failed"
    assert {record["attempts"] for record in [*records.values(), failed]} == {1}
    assert worker.running, worker.output


def test_batches_that_no_longer_fit_are_made_smaller_and_the_worker_lives(
    make_service: Callable[..., Observed], tmp_path: Path, labels: tuple[str, ...]
) -> None:
    # Given a worker with batches of up to 32, under load
    fits = tmp_path / "fits"
    service = make_service(**{BATCH_SECONDS: "0.05", FITS: str(fits)})
    worker = service.start_worker(STUB)
    service.wait_ready()
    # When only eight pictures fit into its memory any more
    fits.write_text("8", "ascii")
    ids = {grey: service.accept(make_picture(grey)) for grey in range(200)}
    # Then all are answered by the same worker
    records = {grey: service.finished(job_id, 60) for grey, job_id in ids.items()}
    assert all(first_label(record) == labels[grey] for grey, record in records.items())
    assert {record["attempts"] for record in records.values()} == {1}
    assert worker.running, worker.output
    # And one that starts now begins with what fits
    worker.stop()
    another = service.start_worker(STUB)
    assert first_label(service.finished(service.accept(make_picture(7)), 60)) == labels[7]
    assert "the model takes a batch of 8 in" in another.output


def test_a_replacement_that_starts_slowly_costs_no_lease(service: Observed) -> None:
    # Given a worker whose only decoder was killed, and whose replacement does not get on with its start
    worker = service.start_worker(STUB, JOB_TIME_LIMIT_SECONDS="4")
    service.wait_ready()
    decoder = decoder_of(worker)
    os.kill(decoder, signal.SIGKILL)
    job_id = service.accept(make_picture(1))
    replacement = eventually(lambda: next((pid for pid in children(worker.pid) if pid != decoder and alive(pid)), 0))
    os.kill(replacement, signal.SIGSTOP)
    # When that takes longer than a lease
    outlast(8)
    # Then the job has not begun
    assert not running(service, job_id)
    # And is done at its first attempt when the replacement is there
    os.kill(replacement, signal.SIGCONT)
    record = service.finished(job_id)
    assert (record["status"], record["attempts"]) == ("succeeded", 1)


def test_a_decoder_that_dies_costs_its_own_job_an_attempt(service: Observed) -> None:
    # Given a worker whose only decoder stands still with a picture in hand
    worker = service.start_worker(STUB)
    service.wait_ready()
    decoder = decoder_of(worker)
    os.kill(decoder, signal.SIGSTOP)
    job_id = service.accept(make_picture(1))
    eventually(lambda: running(service, job_id), what="a running job")
    others = [service.accept(make_picture(2)) for _ in range(5)]
    # When it is killed
    os.kill(decoder, signal.SIGKILL)
    # Then the job is begun again and succeeds, and the others never noticed
    record = service.finished(job_id)
    assert (record["status"], record["attempts"]) == ("succeeded", 2)
    assert {service.finished(other)["attempts"] for other in others} == {1}
    # And there is one decoder, a new one
    assert decoder_of(worker) != decoder


def test_a_picture_over_the_time_limit_fails_alone(service: Observed) -> None:
    # Given a worker whose only decoder does not get on with a picture
    worker = service.start_worker(STUB, JOB_TIME_LIMIT_SECONDS="3")
    service.wait_ready()
    os.kill(decoder_of(worker), signal.SIGSTOP)
    job_id = service.accept(make_picture(1))
    eventually(lambda: running(service, job_id), what="a running job")
    others = [service.accept(make_picture(2)) for _ in range(5)]
    # Then its time runs out, and the others are answered at their first attempt
    record = service.finished(job_id)
    assert (record["problem"]["title"], record["attempts"]) == ("Time limit", 1)
    records = [service.finished(other) for other in others]
    assert {(one["status"], one["attempts"]) for one in records} == {("succeeded", 1)}


def test_sigterm_finishes_what_runs_and_hands_back_the_rest(service: Observed, labels: tuple[str, ...]) -> None:
    # Given a worker with more jobs than it runs at once, of which it has done some
    ids = {grey: service.accept(make_picture(grey)) for grey in range(100)}

    def ended() -> int:
        return sum(service.result(job_id).status_code == 200 for job_id in ids.values())

    worker = service.start_worker(STUB, MAX_BATCH="4", **{BATCH_SECONDS: "0.3"})
    eventually(ended, 60, "a job that has ended")
    # When it is told to stop, Then it does so without running all
    assert worker.stop() == 0, worker.output
    assert ended() < len(ids)
    # And the next one finishes the rest; nothing was begun twice
    service.start_worker(STUB)
    records = {grey: service.finished(job_id, 60) for grey, job_id in ids.items()}
    assert {record["attempts"] for record in records.values()} == {1}
    assert all(first_label(record) == labels[grey] for grey, record in records.items())


def test_a_worker_whose_model_hangs_is_killed_and_nothing_is_lost(service: Observed, tmp_path: Path) -> None:
    # Given a worker, and a picture with which its model will hang, once
    hang = tmp_path / "hang"
    hang.touch()
    settings = {HANG: str(hang), "JOB_TIME_LIMIT_SECONDS": "2"}
    worker = service.start_worker(STUB, **settings)
    service.wait_ready()
    decoder = decoder_of(worker)
    # When it comes among others
    ids = [service.accept(make_picture(colour)) for colour in (1, 2, BLUE, 3, 4)]
    # Then the worker is killed, says why, and leaves no decoder behind
    assert worker.wait(30) == -signal.SIGKILL
    assert "has not answered for 2 s" in worker.output
    eventually(lambda: not alive(decoder), what="no decoder")
    # And the next one does all its jobs
    service.start_worker(STUB, **settings)
    assert {service.finished(job_id)["status"] for job_id in ids} == {"succeeded"}


def test_batches_that_take_longer_than_a_job_may_are_refused_at_the_start(service: Observed) -> None:
    worker = service.start_worker(STUB, JOB_TIME_LIMIT_SECONDS="2", **{BATCH_SECONDS: "1.2"})
    assert worker.wait(60) == 1
    assert "Lower MAX_BATCH or raise JOB_TIME_LIMIT_SECONDS" in worker.output and "Traceback" not in worker.output
