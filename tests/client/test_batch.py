"""`Client.batch`: what is sent, what is repeated, and what comes back."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.client.batch_service import BatchService, parts
from tests.client.conftest import RECORD, Clock, Script, problem
from topthree_client import (
    Batch,
    BatchClosed,
    BatchGone,
    BatchTimes,
    Client,
    KeyRefused,
    Label,
    PictureFailed,
    Result,
    ServiceUnavailable,
)

BATCH_ID = "b" * 32
COUNTS = {"added": 2, "open": 1, "succeeded": 1, "failed": 0, "canceled": 0, "expired": 0}
TIMES = {"opened": "2026-11-27T19:00:58.123+00:00"}


def record(state: str = "open", **counts: int) -> httpx.Response:
    body = {"id": BATCH_ID, "status": state, "counts": COUNTS | counts, "times": TIMES}
    return httpx.Response(200, json=body)


@pytest.fixture
def service() -> BatchService:
    return BatchService()


@pytest.fixture
def client(service: BatchService) -> Client:
    return Client("http://service", transport=httpx.MockTransport(service), patience_seconds=60)


def test_a_batch_from_its_first_picture_to_its_results(client: Client, service: BatchService, tmp_path: Path) -> None:
    # Given pictures of every kind, one of which is broken and one cannot be read
    (tmp_path / "cat.png").write_bytes(b"cat")
    batch = client.batch(top=2, min_confidence=0.1, webhook="http://hook")
    # When they are added, and the batch is closed
    added = batch.add([tmp_path / "cat.png", b"bad", tmp_path / "nosuch.png", io.BytesIO(b"dog"), b"fails"])
    assert batch.close().state == "completed"
    # Then each has its job or its error, in order
    assert [bool(each.job_id) for each in added] == [True, False, False, True, True]
    assert added[0].name == str(tmp_path / "cat.png")
    assert isinstance(added[1].error, PictureFailed) and added[1].error.status == 415
    assert isinstance(added[2].error, FileNotFoundError)
    # And the options and the pictures were sent as they are
    assert service.batches[batch.id].options == {"top": 2, "min_confidence": 0.1, "webhook": "http://hook"}
    assert [data for _, _, data in service.batches[batch.id].pictures] == [b"cat", b"dog", b"fails"]
    # And the results have labels, or a reason
    assert batch.wait().counts.ended == 3
    first, _, last = batch.results()
    assert (first.label, first.confidence, first.job_id) == ("cat", 0.7, added[0].job_id)
    assert first.result == Result((Label("cat", 0.7), Label("dog", 0.2)), "m", "d" * 64, added[0].job_id)
    assert first.to_dict() == {
        "number": 1,
        "name": str(tmp_path / "cat.png"),
        "id": added[0].job_id,
        "state": "succeeded",
        "labels": [{"label": "cat", "confidence": 0.7}, {"label": "dog", "confidence": 0.2}],
        "model": {"name": "m", "digest": "d" * 64},
    }
    assert (last.state, last.label, last.detail) == ("failed", None, "The model failed.")
    assert last.to_dict()["detail"] == "The model failed."
    # And those after one are the others
    assert [each.number for each in batch.results(after=2)] == [3]
    # And another program finds the batch by its id
    assert [each.number for each in client.existing_batch(batch.id).results()] == [1, 2, 3]


def test_many_pictures_take_several_requests_of_limited_size(client: Client, service: BatchService) -> None:
    client.batch().add([b"%d" % number for number in range(250)])
    assert service.sizes == [100, 100, 50]
    # And no more than 8 MiB, after fewer at the start, when the speed of the line is not known
    client.batch().add([bytes(300 << 10) for _ in range(60)])
    assert service.sizes[3:] == [3, 6, 13, 27, 11]
    # And a larger picture is alone
    client.batch().add([b"1", bytes(9 << 20), b"2"])
    assert service.sizes[8:] == [1, 1, 1]


def test_a_picture_that_no_batch_takes_is_not_read(client: Client, tmp_path: Path) -> None:
    # Given a file that is larger than the service allows for a whole request
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate((64 << 20) + 1)
    # When it is added, Then the error says so, and the others are added
    huge, small = client.batch().add([tmp_path / "huge.png", b"1"])
    assert "more than 64 MiB" in str(huge.error) and small.job_id


@pytest.mark.parametrize("trouble", [httpx.WriteError("reset"), httpx.WriteTimeout("slow"), problem(408)], ids=repr)
def test_a_request_that_does_not_arrive_is_split(
    client: Client, service: BatchService, clock: Clock, trouble: httpx.Response | Exception
) -> None:
    # Given a line that carries no more than two pictures
    def cut(request: httpx.Request) -> httpx.Response | Exception | None:
        return trouble if request.url.path.endswith("/images") and len(parts(request)) > 2 else None

    service.before = cut
    # When five are added, Then all arrive, once and in order
    batch = client.batch()
    assert all(each.job_id for each in batch.add([b"%d" % number for number in range(5)]))
    assert [data for _, _, data in service.batches[batch.id].pictures] == [b"0", b"1", b"2", b"3", b"4"]
    # And the next request is smaller from the beginning
    assert batch.request_size.most_bytes < 1 << 20


def test_a_request_whose_answer_is_late_is_not_split(client: Client, service: BatchService, clock: Clock) -> None:
    # Given a service whose answers are late three times, after it has added the pictures
    late = [httpx.ReadTimeout("late") for _ in range(3)]
    service.after = lambda request: late.pop() if request.url.path.endswith("/images") and late else None
    # When pictures are added, Then the request is repeated as it is, and none is there twice
    assert all(each.job_id for each in client.batch().add([b"1", b"2", b"3"]))
    assert service.sizes == [3, 3, 3, 3] and set(service.sent.values()) == {1}


def test_names_are_sent_as_a_form_can_carry_them(client: Client, service: BatchService) -> None:
    # Given names that no header takes as they are
    odd = [
        "ä🐈.png",
        'quo"te.png',
        "new\nline.png",
        "back\\slash.png",
        "a\tb.png",
        "a%0Ab.png",
        "a%22b.png",
        "a'b;c.png",
    ]
    names = [*odd, "latin\udce9.png", "", "🐈" * 3000]
    # When pictures are sent under them, Then those arrive as they are, but for what is no text and what is too long
    client.batch().add([b"%d" % number for number in range(len(names))], names)
    sent = parts(service.asked[-1])
    assert [data for _, data in sent] == [b"%d" % number for number in range(len(names))]
    assert [name for name, _ in sent] == [*odd, "latin\N{REPLACEMENT CHARACTER}.png", "", "🐈" * 1024]


@pytest.mark.parametrize("trouble", [httpx.ReadError("reset"), httpx.ReadTimeout("late"), problem(503), problem(429)])
def test_a_request_is_repeated_with_the_same_key(clock: Clock, trouble: httpx.Response | Exception) -> None:
    script = Script(trouble, trouble, httpx.Response(200, json={"images": [{"name": "", "id": "a"}]}))
    with script.client() as client:
        (added,) = client.existing_batch(BATCH_ID).add([b"a picture"])
    assert added.job_id == "a"
    assert len(script.keys) == 3 and len(set(script.keys)) == 1 and len(set(script.bodies)) == 1


def test_a_lost_answer_adds_no_picture_twice(client: Client, service: BatchService, clock: Clock) -> None:
    # Given a service whose answer is lost after it has added the pictures
    lost = [httpx.ReadError("reset")]
    service.after = lambda request: lost.pop() if request.url.path.endswith("/images") and lost else None
    # When pictures are added
    added = client.batch().add([b"1", b"2"])
    # Then each is there once
    assert [bool(each.job_id) for each in added] == [True, True]
    assert service.sent == {b"1": 1, b"2": 1} and len(service.sizes) == 2


def test_the_same_salt_adds_the_same_pictures_once(client: Client, service: BatchService) -> None:
    batch = client.batch()
    assert batch.add([b"1"], ["a"], salt="salt") == batch.add([b"1"], ["a"], salt="salt")
    for data, name, salt in ((b"2", "a", "salt"), (b"1", "b", "salt"), (b"1", "a", "pepper"), (b"1", "a", None)):
        batch.add([data], [name], salt=salt)
    assert len(service.batches[batch.id].pictures) == 5


def test_a_service_that_takes_fewer_pictures_at_once_gets_fewer(client: Client, service: BatchService) -> None:
    # Given a service that takes three pictures at once
    service.most_at_once = 3
    # When more are sent, Then all are there, in order
    added = client.batch().add([b"%d" % number for number in range(10)])
    assert all(each.job_id for each in added)
    assert [data for batch in service.batches.values() for _, _, data in batch.pictures] == [
        b"%d" % number for number in range(10)
    ]
    # And if it takes none, each picture is told why
    service.most_at_once = 0
    added = client.batch().add([b"1", b"2"])
    assert [str(each.error) for each in added] == ["Send fewer pictures in a request."] * 2


def test_a_quota_below_the_size_of_a_request_is_kept(client: Client, service: BatchService) -> None:
    # Given a quota of two pictures a minute
    def limited(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/images") and len(parts(request)) > 2:
            return problem(429, "Send at most 2 at once.", **{"X-RateLimit-Limit": "2", "Retry-After": "60"})
        return None

    service.before = limited
    # When five are sent, Then that happens in smaller requests, without a wait
    assert all(each.job_id for each in client.batch().add([b"%d" % number for number in range(5)]))
    assert [size for size in service.sizes if size < 3] == [2, 1, 2]


def test_a_queue_full_of_the_batch_is_waited_for_as_long_as_it_moves(clock: Clock) -> None:
    # Given a queue that has no room for long, while pictures of the batch end, and then one that stands still
    full = problem(503, "The queue is full.", **{"Retry-After": "50"})
    moves, stands = record(open=0), record(open=1)
    done = httpx.Response(200, json={"images": [{"name": "", "id": "a"}]})
    # When a picture is added, Then it is added in the end
    script = Script(full, full, moves, done)
    with script.client(patience_seconds=60) as client:
        assert client.existing_batch(BATCH_ID).add([b"1"])[0].job_id == "a"
    # And if nothing moves, that ends
    script = Script(full, full, stands, full, full, stands)
    with script.client(patience_seconds=60) as client, pytest.raises(ServiceUnavailable, match="queue is full"):
        client.existing_batch(BATCH_ID).add([b"1"])
    assert len(script.asked) == 6


@pytest.mark.parametrize("call", [Batch.state, Batch.close, Batch.cancel, lambda batch: batch.add([b"1"])])
@pytest.mark.parametrize("status", [404, 410])
def test_a_batch_that_is_gone(call: Callable[[Batch], object], status: int) -> None:
    with Script(problem(status, "It is gone.")).client() as client, pytest.raises(BatchGone, match="It is gone"):
        call(client.existing_batch(BATCH_ID))


@pytest.mark.parametrize("call", [Batch.close, lambda batch: batch.add([b"1"])])
def test_a_batch_that_takes_no_more_pictures(call: Callable[[Batch], object]) -> None:
    with Script(problem(409, "It is closed.")).client() as client, pytest.raises(BatchClosed, match="It is closed"):
        call(client.existing_batch(BATCH_ID))


def test_a_key_that_is_refused() -> None:
    with Script(problem(401)).client() as client, pytest.raises(KeyRefused):
        client.existing_batch(BATCH_ID).add([b"1"])


def test_the_state_of_a_batch() -> None:
    with Script(record()).client() as client:
        state = client.existing_batch(BATCH_ID).state()
    assert (state.state, state.has_ended, state.counts.added, state.counts.ended) == ("open", False, 2, 1)
    assert state.times == BatchTimes(datetime(2026, 11, 27, 19, 0, 58, 123000, tzinfo=UTC))
    expected = {
        "id": BATCH_ID,
        "state": "open",
        "counts": COUNTS,
        "times": {"opened": TIMES["opened"][:-9] + "123000+00:00"},
    }
    assert json.dumps(state.to_dict()) == json.dumps(expected)


def test_a_batch_is_waited_for_but_not_for_ever(clock: Clock) -> None:
    # Given a service that has no room to wait
    with Script(record("closed"), record("closed"), record("completed", open=0)).client() as client:
        # When a batch is waited for, Then there are pauses
        assert client.existing_batch(BATCH_ID).wait().state == "completed"
    assert clock.slept == [1, 1]
    with Script(record("closed")).client() as client, pytest.raises(TimeoutError, match=r"not ended within 2\.5 s"):
        client.existing_batch(BATCH_ID).wait(2.5)


def test_a_batch_that_has_ended_is_not_canceled() -> None:
    # The service deletes the results of a batch that is completed, if it is asked to cancel it.
    script = Script(record("completed", open=0))
    with script.client() as client:
        assert not client.existing_batch(BATCH_ID).cancel()
    assert [request.method for request in script.asked] == ["GET"]
    script = Script(record(), httpx.Response(204))
    with script.client() as client:
        assert client.existing_batch(BATCH_ID).cancel()
    assert [request.method for request in script.asked] == ["GET", "DELETE"]


def line(number: int) -> bytes:
    given = {"number": number, "name": "", "id": "a", "status": "succeeded"}
    return json.dumps(given | {"result": RECORD["result"], "model": RECORD["model"]}).encode() + b"\n"


class Broken(httpx.SyncByteStream):
    """Gives some bytes, and then breaks."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield self._data
        raise httpx.ReadError("reset")


def streamed(data: bytes, *, breaks: bool) -> httpx.Response:
    stream = Broken(data) if breaks else httpx.ByteStream(data)
    return httpx.Response(200, headers={"Content-Type": "application/x-ndjson"}, stream=stream)


def test_results_go_on_after_a_broken_connection(clock: Clock) -> None:
    # Given a connection that breaks within a line, and then before any
    half = len(line(3)) // 2
    script = Script(
        lambda: streamed(line(1) + line(2) + line(3)[:half], breaks=True),
        lambda: streamed(b"", breaks=True),
        lambda: streamed(line(3), breaks=False),
    )
    # When the results are read, Then each is there once
    with script.client() as client:
        assert [each.number for each in client.existing_batch(BATCH_ID).results()] == [1, 2, 3]
    assert [request.url.params["after"] for request in script.asked] == ["0", "2", "2"]


def test_results_that_always_break_are_given_up(clock: Clock) -> None:
    with (
        Script(lambda: streamed(b"", breaks=True)).client() as client,
        pytest.raises(ServiceUnavailable, match="reset"),
    ):
        list(client.existing_batch(BATCH_ID).results())


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="hello"), httpx.Response(200, json={}), lambda: streamed(b"{}\n", breaks=False)],
)
def test_what_are_no_results_speaks_of_the_service(answer: httpx.Response) -> None:
    with Script(answer).client() as client, pytest.raises(ServiceUnavailable, match="answers 200"):
        list(client.existing_batch(BATCH_ID).results())


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.batch(top=11),
        lambda client: client.batch(min_confidence=2),
        lambda client: client.batch(webhook=1),
        lambda client: client.existing_batch("../health"),
        lambda client: client.existing_batch(BATCH_ID).add("a.png"),
        lambda client: client.existing_batch(BATCH_ID).add(b"a picture"),
        lambda client: client.existing_batch(BATCH_ID).add([b"a picture"], ["a", "b"]),
        lambda client: client.existing_batch(BATCH_ID).add([b"a picture"], [1]),
        lambda client: client.existing_batch(BATCH_ID).add([1]),
        lambda client: client.existing_batch(BATCH_ID).results(after=-1),
    ],
)
def test_wrong_arguments_are_value_errors(
    client: Client, service: BatchService, call: Callable[[Client], object]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        call(client)
    assert all(request.url.path == "/health/live" for request in service.asked)


def test_a_webhook_that_the_service_refuses_is_a_value_error() -> None:
    with Script(problem(400, "Webhooks are off.")).client() as client, pytest.raises(ValueError, match="are off"):
        client.batch(webhook="http://hook")
