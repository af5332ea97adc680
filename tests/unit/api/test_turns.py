"""In a burst, a few requests begin at a time, in their order, and others get through in between."""

import gevent

from api.server.pace import yield_to_others
from api.server.turns import Turns

LONG_SECONDS = 60


def test_in_a_burst_a_few_begin_at_a_time() -> None:
    # Given ten requests that come at once, of which three may begin at a time
    turns, begun = Turns(at_once=3, burst_seconds=LONG_SECONDS), list[int]()

    def request(number: int) -> None:
        turns.take()
        begun.append(number)

    requests = [gevent.spawn(request, number) for number in range(10)]
    # When gevent looks for new data again and again
    seen = []
    while len(begun) < 10:
        seen.append(len(begun))
        yield_to_others()
    gevent.joinall(requests, raise_error=True)
    # Then they have begun in their order, and never more than three in between
    assert begun == list(range(10))
    steps = [after - before for before, after in zip(seen, [*seen[1:], 10], strict=True)]
    assert max(steps) <= 3


def test_without_a_burst_nobody_waits() -> None:
    # Given turns for one request in no time
    turns = Turns(at_once=1, burst_seconds=0)
    # When requests come one after the other, Then none waits for gevent to look
    waits = gevent.spawn(lambda: [turns.take() for _ in range(10)])
    gevent.sleep(0)
    assert waits.ready()
    waits.get()


def test_a_burst_passes() -> None:
    # Given a burst that is over
    turns = Turns(at_once=1, burst_seconds=0.001)
    gevent.joinall([gevent.spawn(turns.take) for _ in range(20)], raise_error=True)
    # When another comes, Then it begins too
    late = gevent.spawn(turns.take)
    late.join(timeout=10)
    assert late.ready()
