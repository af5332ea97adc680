"""Pool of decode processes of a worker; a process that dies or exceeds its time limit is replaced."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from shared.awake_timer import AwakeTimer
from worker.decoding.errors import DecodeProcessLost
from worker.decoding.process import DecodeLimits, DecodeProcess, Pixels

log = logging.getLogger(__name__)

# Pause between attempts to start a process.
RETRY_SECONDS = 1


class DecoderLease:
    """Exclusive use of one decoder for one picture; ends when the picture is decoded."""

    def __init__(self, pool: "DecodePool", decoder: DecodeProcess) -> None:
        self._pool = pool
        self._decoder: DecodeProcess | None = decoder

    def decode(self, data: bytes) -> Pixels:
        """Decode as `DecodeProcess.decode`, then end the lease."""
        timer = self._pool.timer()
        try:
            return self._living(timer).decode(data, timer)
        finally:
            self.end()

    def end(self) -> None:
        """Give the decoder back, unless that has been done already."""
        if self._decoder is not None:
            self._pool.give_back(self._decoder)
            self._decoder = None

    def _living(self, timer: AwakeTimer) -> DecodeProcess:
        # The picture is not to blame for a decoder that died before it got the picture: take another one.
        assert self._decoder is not None
        if not self._decoder.is_alive():
            self.end()
            self._decoder = self._pool.take(timer.left())
        return self._decoder


class DecodePool:
    """A fixed number of decoders, leased first come, first served, so that jobs begin in their order.

    A failed decoder is replaced in the background. Only decoders that are ready are leased, because the job is claimed
    next and its own lease starts then.
    """

    def __init__(self, count: int, limits: DecodeLimits) -> None:
        """Start `count` processes and wait until they are ready; DecodeProcessLost if one does not start."""
        self._limits = limits
        self._lock = threading.Lock()
        self._line: deque[Future[DecodeProcess]] = deque()
        self._free: deque[DecodeProcess] = deque()
        self._all: set[DecodeProcess] = set()
        self._closed = threading.Event()
        try:
            for _ in range(count):
                self._all.add(DecodeProcess(limits))
            for decoder in self._all:
                decoder.wait_ready()
        except DecodeProcessLost:
            self.close()
            raise
        self._free.extend(self._all)

    def timer(self) -> AwakeTimer:
        """Return a timer with the time limit of one picture."""
        return AwakeTimer(self._limits.seconds)

    @contextmanager
    def lease(self) -> Iterator[DecoderLease]:
        """Wait for a decoder, without a time limit, and lease it until its picture is decoded."""
        lease = DecoderLease(self, self.take())
        try:
            yield lease
        finally:
            lease.end()

    @property
    def waiting(self) -> int:
        """Number of callers that wait for a decoder."""
        with self._lock:
            return len(self._line)

    def pids(self) -> set[int]:
        """Return the ids of all processes, those that are still starting included."""
        with self._lock:
            return {decoder.pid for decoder in self._all}

    def close(self) -> None:
        """End all processes; the pool cannot be used afterwards."""
        self._closed.set()
        with self._lock:
            decoders = list(self._all)
        for decoder in decoders:
            decoder.close()

    def take(self, seconds: float | None = None) -> DecodeProcess:
        """Wait for a decoder that is ready; DecodeProcessLost if there is none within `seconds`."""
        with self._lock:
            while self._free:
                decoder = self._free.popleft()
                if decoder.is_alive():
                    return decoder
                self._replace(decoder)
            waiter: Future[DecodeProcess] = Future()
            self._line.append(waiter)
        try:
            return waiter.result(seconds)
        except TimeoutError:
            self._leave_line(waiter)
            raise DecodeProcessLost("No decoder is ready.") from None

    def give_back(self, decoder: DecodeProcess) -> None:
        """Pass the decoder to the next caller that waits; if it has failed, start a replacement."""
        with self._lock:
            if not decoder.is_alive():
                self._replace(decoder)
            elif self._line:
                self._line.popleft().set_result(decoder)
            else:
                self._free.append(decoder)

    def _leave_line(self, waiter: "Future[DecodeProcess]") -> None:
        with self._lock:
            if waiter in self._line:
                self._line.remove(waiter)
                return
        # It has just got a decoder.
        self.give_back(waiter.result())

    def _replace(self, lost: DecodeProcess) -> None:
        self._all.discard(lost)
        threading.Thread(target=self._start_another, args=[lost], name="decoder start", daemon=True).start()

    def _start_another(self, lost: DecodeProcess) -> None:
        lost.kill()
        while not self._closed.is_set():
            try:
                self._start_one()
            except DecodeProcessLost as error:
                log.warning("%s Trying again.", error)
                self._closed.wait(RETRY_SECONDS)
            else:
                return

    def _start_one(self) -> None:
        decoder = DecodeProcess(self._limits)
        with self._lock:
            self._all.add(decoder)
        try:
            decoder.wait_ready()
        except DecodeProcessLost:
            with self._lock:
                self._all.discard(decoder)
            raise
        if self._closed.is_set():
            decoder.close()
        else:
            self.give_back(decoder)
