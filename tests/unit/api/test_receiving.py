"""The memory of all bodies is limited until they are closed."""

import pytest

from api.server.receiving import Receiving

LIMIT = 100


class Body:
    """A body that knows whether it is complete, and whether it was aborted."""

    def __init__(self, receiving: Receiving) -> None:
        self.complete = False
        self.aborted = False
        receiving.begin(self)

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def receiving() -> Receiving:
    return Receiving(LIMIT)


def test_the_oldest_unfinished_bodies_are_aborted(receiving: Receiving) -> None:
    # Given bodies that fill the limit, one of which has no bytes yet
    empty, *bodies = [Body(receiving) for _ in range(5)]
    for body in bodies:
        receiving.add(body, 25)
    # When more arrives, Then the oldest one makes room, and no more than needed
    receiving.add(bodies[3], 10)
    assert [each.aborted for each in (empty, *bodies)] == [False, True, False, False, False]


def test_bodies_that_are_complete_count_until_they_are_closed(receiving: Receiving) -> None:
    # Given a body that is complete and waits to be stored
    stored, arriving = Body(receiving), Body(receiving)
    receiving.add(stored, 90)
    stored.complete = True
    # When another one does not fit beside it, Then the one that arrives is aborted, which frees its memory
    receiving.add(arriving, 20)
    assert (stored.aborted, arriving.aborted) == (False, True)
    # And once the first one is closed, there is room
    receiving.end(stored)
    later = Body(receiving)
    receiving.add(later, LIMIT)
    assert not later.aborted
