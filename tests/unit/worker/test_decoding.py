"""A child tells its parent what it is decoding, and a parent sees how long that has taken."""

import time

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


def test_a_parent_sees_what_cpu_time_a_childs_decoding_has_had(decoding: Decoding) -> None:
    # Given a child (this process) that decodes, and has spent 0.3 seconds
    decoding.deliver("j")
    with decoding:
        until = time.process_time() + 0.3
        while time.process_time() < until:
            pass
        # Then that is seen, and that nobody else is decoding
        assert decoding.seconds("j") == pytest.approx(0.3, abs=0.1)
        assert decoding.seconds("k") == 0
    # And when it has ended, nothing
    assert decoding.seconds("j") == 0
