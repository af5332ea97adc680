"""How many uploads run at a time, by how long they take and how they end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.client.conftest import Clock, accepted, problem
from tests.support.wait import eventually, take_time
from topthree_client.uploads import UploadLimit

CALLERS = 24
SETTLE_SECONDS = 0.2


@pytest.fixture
def limit(clock: Clock) -> UploadLimit:
    return UploadLimit()


@contextmanager
def all_at_once(limit: UploadLimit, upload: Callable[[], httpx.Response]) -> Iterator[None]:
    """Call `upload` from many threads, and wait for their end."""

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


def count_at_once(limit: UploadLimit) -> int:
    """Return how many uploads run at a time; a refusal for want of room, which they all get, changes nothing."""
    running: list[int] = []
    ends = threading.Event()

    def hold() -> httpx.Response:
        running.append(1)
        ends.wait(10)
        return problem(503)

    with all_at_once(limit, hold):
        eventually(lambda: bool(running), 5, "an upload")
        take_time(SETTLE_SECONDS)
        count = len(running)
        ends.set()
    return count


def test_a_few_begin_and_more_follow_while_they_are_quick(limit: UploadLimit) -> None:
    # Given a client that has sent nothing yet, Then a few uploads run at a time
    assert count_at_once(limit) == 4

    def quick() -> httpx.Response:
        take_time(0.02)
        return accepted()

    # When many were quick
    with all_at_once(limit, quick):
        pass
    # Then more run at a time
    assert count_at_once(limit) > 8


def shrinking(limit: UploadLimit, clock: Clock, end: Callable[[], httpx.Response]) -> list[int]:
    """Return how many uploads run at a time after one that ended so, after two, and after three."""
    counts = []
    for _ in range(3):
        clock.now += 1
        with suppress(httpx.RequestError):
            limit.run(end)
        counts.append(count_at_once(limit))
    return counts


@pytest.mark.parametrize(
    "error", [httpx.ReadError("reset"), httpx.RemoteProtocolError("disconnected"), httpx.WriteTimeout("slow")], ids=repr
)
def test_half_as_many_run_after_one_was_cut_but_always_one(
    limit: UploadLimit, clock: Clock, error: httpx.RequestError
) -> None:
    def cut() -> httpx.Response:
        raise error

    assert shrinking(limit, clock, cut) == [2, 1, 1]


def test_half_as_many_run_after_one_was_slow_or_refused_as_slow(clock: Clock) -> None:
    def slow() -> httpx.Response:
        clock.now += 11
        return accepted()

    assert shrinking(UploadLimit(), clock, slow) == [2, 1, 1]
    assert shrinking(UploadLimit(), clock, lambda: problem(408)) == [2, 1, 1]


def test_what_says_nothing_about_the_line_changes_nothing(limit: UploadLimit, clock: Clock) -> None:
    def refused() -> httpx.Response:
        raise httpx.ConnectError("refused")

    def neither_quick_nor_slow() -> httpx.Response:
        clock.now += 5
        return accepted()

    for end in (refused, neither_quick_nor_slow, lambda: problem(429), lambda: problem(503)):
        assert shrinking(limit, clock, end) == [4, 4, 4]


def test_uploads_that_are_cut_together_count_once(limit: UploadLimit, clock: Clock) -> None:
    # Given uploads that run together
    together = threading.Barrier(4, timeout=10)
    left = list(range(CALLERS))

    def cut() -> httpx.Response:
        left.pop()
        if len(left) < CALLERS - 4:
            return problem(503)
        together.wait()
        clock.now += 1
        raise httpx.ReadError("reset")

    # When the line is cut for all of them
    with all_at_once(limit, cut):
        pass
    # Then half as many run at a time
    assert count_at_once(limit) == 2
