"""`python -m bench.load`: the load generator, one process, told by a line of JSON what to do.

It says `ready`, waits for a line, runs, and prints what it saw as a line of JSON.
"""

import gc
import heapq
import json
import random
import re
import select
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.connection import Answer, Connection
from bench.seen import WARM_SECONDS, Seen
from bench.trace import Item, Trace, request_head

# What has not been answered this long after the end counts as lost.
DRAIN_SECONDS = 40
_LOCATION = re.compile(rb"\r\nlocation: *(\S+)", re.IGNORECASE)


class Generator:
    """Sends the requests of a trace over connections of one event loop."""

    def __init__(self, order: dict[str, Any]) -> None:
        """`order` has port, pictures, path, form_field, headers, seed, repeats, mode, clients, rate, seconds, poll."""
        self._order = order
        head = request_head(order["port"], order["path"], order["form_field"], order["headers"])
        trace = Trace(order["pictures"], head, order["form_field"], order["seed"], order["repeats"])
        self._items = iter(trace)
        self._epoll = select.epoll()
        self._by_file: dict[int, Connection] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._open = 0
        self._idle: list[Connection] = []
        self._count = 0

    def run(self) -> dict[str, Any]:
        """Run the order and return what was seen."""
        order = self._order
        began, cpu = time.perf_counter(), time.process_time()
        self._until = began + WARM_SECONDS + order["seconds"]
        self._seen = Seen(began, order["seconds"])
        if order["mode"] == "open":
            self._schedule(order["rate"])
        else:
            for _ in range(order["clients"]):
                self._start(self._connection(), time.perf_counter())
        while (self._open or self._timers) and time.perf_counter() < self._until + DRAIN_SECONDS:
            self._turn()
        return self._seen.report(self._open, time.perf_counter() - began, time.process_time() - cpu)

    def _connection(self) -> Connection:
        return self._idle.pop() if self._idle else Connection(self._order["port"], self._epoll, self._by_file)

    def _turn(self) -> None:
        wait = max(0.0, self._timers[0][0] - time.perf_counter()) if self._timers else 1.0
        for file, events in self._epoll.poll(min(wait, 1.0)):
            if file in self._by_file:
                self._by_file[file].handle(events)
        while self._timers and self._timers[0][0] <= time.perf_counter():
            heapq.heappop(self._timers)[2]()

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (moment, self._count, action))

    def _schedule(self, rate: float) -> None:
        """Plan Poisson arrivals; each is timed from its plan, however late it is sent."""
        random_gaps = random.Random(self._order["seed"])
        moment = time.perf_counter()
        while (moment := moment + random_gaps.expovariate(rate)) < self._until:
            self._at(moment, lambda moment=moment: self._arrive(moment))  # type: ignore[misc]

    def _arrive(self, planned: float) -> None:
        self._seen.latest_send_ms = max(self._seen.latest_send_ms, (time.perf_counter() - planned) * 1000)
        self._start(self._connection(), planned)

    def _start(self, connection: Connection, since: float) -> None:
        item = next(self._items)
        self._open += 1
        self._seen.requests += 1

        def done(connection: Connection, answer: Answer) -> None:
            if answer.status == 202:
                self._poll(connection, item, since, answer)
            else:
                self._end(connection, item, since, answer)

        connection.request(item.parts, done)

    def _poll(self, connection: Connection, item: Item, since: float, accepted: Answer) -> None:
        found = _LOCATION.search(accepted.head)
        assert found is not None
        poll = self._order["poll"]
        host = f"Host: 127.0.0.1:{self._order['port']}\r\n{poll['headers']}"
        request = b"GET %s HTTP/1.1\r\n%s\r\n" % (found.group(1), host.encode())

        def ask() -> None:
            self._seen.requests += 1
            connection.request((request,), done)

        def done(connection: Connection, answer: Answer) -> None:
            if answer.status == 202:
                self._at(time.perf_counter() + poll["seconds"], ask)
            else:
                self._end(connection, item, since, answer)

        self._at(time.perf_counter() + poll["seconds"], ask)

    def _end(self, connection: Connection, item: Item, since: float, answer: Answer) -> None:
        self._open -= 1
        self._seen.end(item, since, answer)
        now = time.perf_counter()
        if self._order["mode"] == "open":
            self._idle.append(connection)
        elif now < self._until:
            # A refused client waits a little, as it was told.
            if answer.status == 200:
                self._start(connection, now)
            else:
                self._at(now + 0.1, lambda: self._start(connection, time.perf_counter()))


def main() -> None:
    """Read an order, say ready, wait for the word, run."""
    generator = Generator(json.loads(sys.stdin.readline()))
    gc.disable()
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(generator.run()), flush=True)


if __name__ == "__main__":
    main()
