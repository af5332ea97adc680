"""A store that was away is found again, whatever kept the process from looking; none is used across a fork."""

import multiprocessing
import threading
from collections.abc import Callable

import pytest

from shared.images import availability as availability_module
from shared.images.availability import StoreAvailability
from shared.images.store import ImageStoreAway, RecordImageStore, RemoverOfProcess
from tests.support.wait import eventually


def nothing() -> None:
    """A probe of a store that is there."""


def never() -> None:
    raise TimeoutError("no answer in time")


def is_away(availability: StoreAvailability) -> bool:
    try:
        availability.check()
    except ImageStoreAway:
        return True
    return False


def test_a_store_that_only_answers_slowly_comes_back() -> None:
    # Given a store whose probe takes longer than a job can wait
    availability = StoreAvailability(never, nothing, 4)
    with pytest.raises(ImageStoreAway):
        availability.confirm(PermissionError("one picture"))
    # Then it is found to be there by whoever can wait longer
    eventually(lambda: not is_away(availability), 10)


def test_a_hanging_probe_that_ends_with_an_error_is_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a store with a hanging probe, so that the next one would run minutes later
    monkeypatch.setattr(availability_module, "RECHECK_SECONDS", 300)
    hangs, probes = threading.Event(), []

    def probe() -> None:
        probes.append(1)
        if len(probes) == 1:
            hangs.set()
            raise TimeoutError("no answer in time")

    availability = StoreAvailability(never, probe, most_pause_seconds=600)
    with pytest.raises(ImageStoreAway):
        availability.confirm(TimeoutError("one picture"))
    availability.answered()
    assert hangs.wait(10)
    # When the hanging call ends with an error
    availability.answered()
    # Then the store is probed again without the pause
    eventually(lambda: not is_away(availability))


def test_a_process_that_can_start_no_thread_looks_again_at_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a process that has no room for a thread
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    availability = StoreAvailability(never, nothing, 4)
    # When the store is away, Then the call says so, and the next one is not refused unseen
    with pytest.raises(ImageStoreAway):
        availability.confirm(OSError("gone"))
    assert not is_away(availability)


class CountedStore(RecordImageStore):
    """Notes what it deletes."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def delete(self, job_id: str) -> None:
        self._note(job_id)


def test_a_forked_process_opens_the_store_anew() -> None:
    # Given a process that has opened a store
    context = multiprocessing.get_context("fork")
    opened, deleted = context.Value("i", 0), context.SimpleQueue()

    def open_store() -> CountedStore:
        opened.value += 1
        return CountedStore(deleted.put)

    remover = RemoverOfProcess(open_store)
    remover.delete("a")
    # When a child that was forked from it deletes a picture, Then by a store of its own
    child = context.Process(target=remover.delete, args=["b"])
    child.start()
    child.join(10)
    assert (opened.value, deleted.get(), deleted.get()) == (2, "a", "b")
