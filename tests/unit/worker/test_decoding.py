"""A child tells its parent what it is decoding, and a parent sees how long that has taken."""

import time
from multiprocessing import get_context
from typing import Any

import pytest

from worker import decoding as decoding_module
from worker.decoding import Decoding


class Place:
    """A child's place in its pool."""

    index = 1


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Decoding:
    monkeypatch.setattr(decoding_module, "current_process", Place)
    return Decoding(2)


def decode_until(decoding: Decoding, cpu_seconds: float, done: Any, end: Any) -> None:
    decoding.deliver("j")
    with decoding:
        while time.process_time() < cpu_seconds:
            pass
        done.set()
        end.wait(30)


def test_a_parent_sees_what_cpu_time_a_childs_decoding_has_had(decoding: Decoding) -> None:
    # Given a child that is decoding, and has spent 0.3 seconds
    context = get_context("fork")
    done, end = context.Event(), context.Event()
    child = context.Process(target=decode_until, args=[decoding, 0.3, done, end])
    child.start()
    assert done.wait(30)
    # Then its parent sees that, and that nobody else is decoding
    assert decoding.seconds("j") == pytest.approx(0.3, abs=0.1)
    assert decoding.seconds("k") == 0
    # And when it has ended, nothing
    end.set()
    child.join(30)
    assert decoding.seconds("j") == 0
