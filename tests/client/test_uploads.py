"""The limit of concurrent uploads follows from their durations and outcomes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.client.conftest import Clock, accepted, problem
from tests.support.wait import eventually, take_time
from topthree_client.uploads import UploadLimit

CALLERS = 24
# Long enough for an upload beyond the limit to start.
SETTLE_SECONDS = 0.2


@pytest.fixture
def limit(clock: Clock) -> UploadLimit:
    return UploadLimit()


@contextmanager
def all_at_once(limit: UploadLimit, upload: Callable[[], httpx.Response]) -> Iterator[None]:
    """Call `upload` from many threads, and wait until they end."""

    def call() -> None:
        with suppress(httpx.RequestError):
            limit.run(upload)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def held_uploads(limit: UploadLimit) -> Iterator[list[int]]:
    """Yield the list of running uploads; they run until the end and get 503, which does not change the limit."""
    running: list[int] = []
    ends = threading.Event()

    def hold() -> httpx.Response:
        running.append(len(running))
        ends.wait(60)
        return problem(503)

    with all_at_once(limit, hold):
        try:
            yield running
        finally:
            ends.set()


def assert_at_once(limit: UploadLimit, count: int) -> None:
    """Check that `count` uploads run at a time."""
    with held_uploads(limit) as running:
        eventually(lambda: len(running) >= count, what=f"{count} uploads")
        take_time(SETTLE_SECONDS)
        assert len(running) == count


def test_the_limit_starts_low_and_grows_while_uploads_are_quick(limit: UploadLimit) -> None:
    # Given a client that has sent nothing yet, Then four uploads run at a time
    assert_at_once(limit, 4)

    def quick() -> httpx.Response:
        take_time(0.02)
        return accepted()

    # When many uploads are quick
    with all_at_once(limit, quick):
        pass
    # Then more run at a time
    with held_uploads(limit) as running:
        eventually(lambda: len(running) > 8, what="more uploads")


def assert_follows(limit: UploadLimit, clock: Clock, end: Callable[[], httpx.Response], counts: list[int]) -> None:
    """Check how many uploads run at a time after one upload that ends with `end`, after two, and so on."""
    for count in counts:
        clock.now += 1
        with suppress(httpx.RequestError):
            limit.run(end)
        assert_at_once(limit, count)


@pytest.mark.parametrize(
    "error", [httpx.ReadError("reset"), httpx.RemoteProtocolError("disconnected"), httpx.WriteTimeout("slow")], ids=repr
)
def test_an_interrupted_upload_halves_the_limit_down_to_one(
    limit: UploadLimit, clock: Clock, error: httpx.RequestError
) -> None:
    def cut() -> httpx.Response:
        raise error

    assert_follows(limit, clock, cut, [2, 1, 1])


def test_a_slow_upload_or_a_408_halves_the_limit(clock: Clock) -> None:
    def slow() -> httpx.Response:
        clock.now += 11
        return accepted()

    assert_follows(UploadLimit(), clock, slow, [2, 1, 1])
    assert_follows(UploadLimit(), clock, lambda: problem(408), [2, 1, 1])


def test_other_outcomes_do_not_change_the_limit(limit: UploadLimit, clock: Clock) -> None:
    def refused() -> httpx.Response:
        raise httpx.ConnectError("refused")

    def neither_quick_nor_slow() -> httpx.Response:
        clock.now += 5
        return accepted()

    for end in (refused, neither_quick_nor_slow, lambda: problem(429), lambda: problem(503)):
        assert_follows(limit, clock, end, [4])


def test_concurrent_uploads_that_are_interrupted_together_count_once(limit: UploadLimit, clock: Clock) -> None:
    # Given concurrent uploads
    together = threading.Barrier(4, timeout=10)
    left = list(range(CALLERS))

    def cut() -> httpx.Response:
        left.pop()
        if len(left) < CALLERS - 4:
            return problem(503)
        together.wait()
        clock.now += 1
        raise httpx.ReadError("reset")

    # When the connection is lost for all of them
    with all_at_once(limit, cut):
        pass
    # Then the limit is halved once
    assert_at_once(limit, 2)
