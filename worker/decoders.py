"""The processes that decode for a worker: one picture each at a time, replaced when they die or take too long."""

import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray

from shared.errors import PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from worker.cpu_time import OWN_SECONDS, cpu_seconds
from worker.link import Kind, Link
from worker.lost import DecoderLost

Pixels = NDArray[np.uint8]
# It imports the readers of all formats, on a machine that may be busy.
START_SECONDS = 60
# One that is told to end and has no picture in hand ends at once.
END_SECONDS = 5
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class DecoderLimits:
    """What a decoder makes of a picture (pixels) and what that may take (seconds, and bytes of memory)."""

    height: int
    width: int
    seconds: float
    memory_bytes: int


class Decoder:
    """One process; used by one thread at a time."""

    def __init__(self, limits: DecoderLimits) -> None:
        """Start the process; it is not waited for."""
        self._limits = limits
        self._process, self._link = self._start()
        self._ready = False

    def wait_ready(self) -> None:
        """Wait until it takes pictures; DecoderLost if it does not start."""
        if self._ready:
            return
        try:
            self._link.receive(time.monotonic() + START_SECONDS)
        except OSError as error:
            self._replace()
            raise DecoderLost("A decoder does not start.") from error
        self._ready = True

    def decode(self, data: bytes) -> Pixels:
        """Return the picture as uint8 [height, width, 3].

        Raises:
            UndecodablePicture, UnsupportedPicture, MemoryError: as `worker.decode.decode_pixels`.
            PictureTooExpensive, SoftTimeLimitExceeded: it took too long, by its own fault or not; the process was
                killed and replaced.
            DecoderLost: the process died; it was replaced.
        """
        if self._process.poll() is not None:
            # It died with no picture in hand, which is no fault of this one.
            self._replace()
        self.wait_ready()
        deadline = time.monotonic() + self._limits.seconds
        began = cpu_seconds(self._process.pid)
        try:
            self._link.send(Kind.PICTURE, data, deadline)
            kind, answer = self._link.receive(deadline)
        except TimeoutError:
            spent = cpu_seconds(self._process.pid) - began
            self._replace()
            if spent > OWN_SECONDS:
                raise PictureTooExpensive("Decoding takes longer than allowed.") from None
            raise SoftTimeLimitExceeded(self._limits.seconds) from None
        except OSError as error:
            self._replace()
            raise DecoderLost("A decoder died with the picture in hand.") from error
        return self._pixels(kind, answer)

    def close(self) -> None:
        """End the process; it is killed if it does not go."""
        self._link.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()

    def _pixels(self, kind: Kind, answer: bytearray) -> Pixels:
        if kind is Kind.PIXELS:
            return np.frombuffer(answer, np.uint8).reshape(self._limits.height, self._limits.width, 3)
        told = answer.decode()
        if kind is Kind.UNDECODABLE:
            raise UndecodablePicture(told)
        if kind is Kind.UNSUPPORTED:
            raise UnsupportedPicture(told)
        if kind is Kind.NO_MEMORY:
            raise MemoryError
        raise RuntimeError(f"The decoder failed: {told}")

    def _start(self) -> tuple[subprocess.Popen[bytes], Link]:
        limits = self._limits
        ours, theirs = socket.socketpair()
        numbers = (theirs.fileno(), limits.height, limits.width, limits.memory_bytes)
        command = [sys.executable, "-m", "worker.decoder", *map(str, numbers)]
        with theirs:
            # A program of its own, as a fork would have this process' threads, its model and perhaps its card.
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        return process, Link(ours)

    def _replace(self) -> None:
        self._link.close()
        self._kill()
        try:
            self._process, self._link = self._start()
            self._ready = False
        except OSError as error:
            raise DecoderLost(f"No decoder can be started: {error}") from error

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Turn:
    """The use of one decoder for one picture, which ends when its pixels are there."""

    def __init__(self, decoder: Decoder, give_back: Callable[[Decoder], None]) -> None:
        self._decoder: Decoder | None = decoder
        self._give_back = give_back

    def decode(self, data: bytes) -> Pixels:
        """Decode as `Decoder.decode` does and let the next picture have the decoder."""
        assert self._decoder is not None
        try:
            return self._decoder.decode(data)
        finally:
            self.end()

    def end(self) -> None:
        """Let the next picture have the decoder, if this one still holds it."""
        if self._decoder is not None:
            self._give_back(self._decoder)
            self._decoder = None


class Decoders:
    """A number of decoders that take turns; who waits longest is next, so that jobs begin in their order."""

    def __init__(self, count: int, limits: DecoderLimits) -> None:
        """Start `count` processes and wait until they take pictures; DecoderLost if one does not start."""
        self._lock = threading.Lock()
        self._line: deque[Future[Decoder]] = deque()
        self._free: deque[Decoder] = deque()
        self._all = [Decoder(limits) for _ in range(count)]
        try:
            for decoder in self._all:
                decoder.wait_ready()
        except DecoderLost:
            self.close()
            raise
        self._free.extend(self._all)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a decoder, however long, and have it until its picture is decoded."""
        turn = Turn(self._take(), self._give_back)
        try:
            yield turn
        finally:
            turn.end()

    def close(self) -> None:
        """End all processes; nobody may decode any more."""
        for decoder in self._all:
            decoder.close()

    def _take(self) -> Decoder:
        with self._lock:
            if self._free:
                return self._free.popleft()
            place: Future[Decoder] = Future()
            self._line.append(place)
        return place.result()

    def _give_back(self, decoder: Decoder) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().set_result(decoder)
            else:
                self._free.append(decoder)
