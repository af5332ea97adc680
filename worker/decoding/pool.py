"""The processes that decode for a worker: one picture each at a time, replaced when they die or take too long."""

import logging
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray

from shared.awake_timer import AwakeTimer
from shared.errors import PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from worker.decoding.channel import Kind, Link
from worker.decoding.errors import DecoderLost
from worker.runtime.cpu_time import OWN_SECONDS, cpu_seconds

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
# It imports the readers of all formats, on a machine that may be busy.
START_SECONDS = 60
# Between attempts to start one that does not.
RETRY_SECONDS = 1
# One that is told to end and has no picture in hand ends at once.
END_SECONDS = 5
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class DecoderLimits:
    """What a decoder makes of a picture (pixels) and what that may take (seconds, and bytes of memory)."""

    height: int
    width: int
    seconds: float
    memory_bytes: int


class Decoder:
    """One process; used by one thread at a time, and of no more use once it has failed."""

    def __init__(self, limits: DecoderLimits) -> None:
        """Start the process; DecoderLost if that cannot be done. It is not waited for."""
        self._limits = limits
        try:
            self._process, self._link = self._start()
        except OSError as error:
            raise DecoderLost(f"No decoder can be started: {error}") from error

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until it takes pictures; DecoderLost if it does not start."""
        try:
            self._link.receive(AwakeTimer(START_SECONDS))
        except OSError as error:
            self.kill()
            raise DecoderLost("A decoder does not start.") from error

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def decode(self, data: bytes, timer: AwakeTimer) -> Pixels:
        """Return the picture as uint8 [height, width, 3].

        Raises:
            UndecodablePicture, UnsupportedPicture, MemoryError: as `worker.decoding.decode.decode_pixels`.
            PictureTooExpensive, SoftTimeLimitExceeded: it took too long, by its own fault or not; the process was
                killed.
            DecoderLost: the process died.
        """
        began = cpu_seconds(self.pid)
        try:
            self._link.send(Kind.PICTURE, data, timer)
            kind, answer = self._link.receive(timer)
        except TimeoutError:
            spent = cpu_seconds(self.pid) - began
            self.kill()
            if spent > OWN_SECONDS:
                raise PictureTooExpensive("Decoding takes longer than allowed.") from None
            raise SoftTimeLimitExceeded(self._limits.seconds) from None
        except OSError as error:
            self.kill()
            raise DecoderLost("A decoder died with the picture in hand.") from error
        return self._pixels(kind, answer)

    def close(self) -> None:
        """End the process; it is killed if it does not go."""
        self._link.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._link.close()
        self._process.kill()
        self._process.wait()

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
        command = [sys.executable, "-m", "worker.decoding.process", *map(str, numbers)]
        with theirs:
            # A program of its own, as a fork would have this process' threads, its model and perhaps its card.
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        return process, Link(ours)


class Turn:
    """The use of one decoder for one picture, which ends when its pixels are there."""

    def __init__(self, decoders: "Decoders", decoder: Decoder) -> None:
        self._decoders = decoders
        self._decoder: Decoder | None = decoder

    def decode(self, data: bytes) -> Pixels:
        """Decode as `Decoder.decode` does and let the next picture have the decoder."""
        timer = self._decoders.timer()
        try:
            return self._living(timer).decode(data, timer)
        finally:
            self.end()

    def end(self) -> None:
        """Let the next picture have the decoder, if this one still holds it."""
        if self._decoder is not None:
            self._decoders.give_back(self._decoder)
            self._decoder = None

    def _living(self, timer: AwakeTimer) -> Decoder:
        # One that died while its picture was fetched had none in hand, which is no fault of this one.
        assert self._decoder is not None
        if not self._decoder.is_alive():
            self.end()
            self._decoder = self._decoders.take(timer.left())
        return self._decoder


class Decoders:
    """A number of decoders that take turns; who waits longest is next, so that jobs begin in their order.

    One that has failed is replaced in the background: only those that take pictures at once are handed out, as a job's
    lease runs from then on.
    """

    def __init__(self, count: int, limits: DecoderLimits) -> None:
        """Start `count` processes and wait until they take pictures; DecoderLost if one does not start."""
        self._limits = limits
        self._lock = threading.Lock()
        self._line: deque[Future[Decoder]] = deque()
        self._free: deque[Decoder] = deque()
        self._all: set[Decoder] = set()
        self._closed = threading.Event()
        try:
            for _ in range(count):
                self._all.add(Decoder(limits))
            for decoder in self._all:
                decoder.wait_ready()
        except DecoderLost:
            self.close()
            raise
        self._free.extend(self._all)

    def timer(self) -> AwakeTimer:
        """Return the time that one picture may take."""
        return AwakeTimer(self._limits.seconds)

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """Wait for a decoder, however long, and have it until its picture is decoded."""
        turn = Turn(self, self.take())
        try:
            yield turn
        finally:
            turn.end()

    @property
    def waiting(self) -> int:
        """How many wait for a decoder."""
        with self._lock:
            return len(self._line)

    def pids(self) -> set[int]:
        """Return the process ids of all that take pictures or are about to."""
        with self._lock:
            return {decoder.pid for decoder in self._all}

    def close(self) -> None:
        """End all processes; nobody may decode any more."""
        self._closed.set()
        with self._lock:
            decoders = list(self._all)
        for decoder in decoders:
            decoder.close()

    def take(self, seconds: float | None = None) -> Decoder:
        """Wait for a decoder that takes pictures; DecoderLost if there is none within `seconds`."""
        with self._lock:
            while self._free:
                decoder = self._free.popleft()
                if decoder.is_alive():
                    return decoder
                self._replace(decoder)
            place: Future[Decoder] = Future()
            self._line.append(place)
        try:
            return place.result(seconds)
        except TimeoutError:
            self._leave_line(place)
            raise DecoderLost("No decoder is ready.") from None

    def give_back(self, decoder: Decoder) -> None:
        """Let the next picture have the decoder, or its replacement if it has failed."""
        with self._lock:
            if not decoder.is_alive():
                self._replace(decoder)
            elif self._line:
                self._line.popleft().set_result(decoder)
            else:
                self._free.append(decoder)

    def _leave_line(self, place: "Future[Decoder]") -> None:
        with self._lock:
            if place in self._line:
                self._line.remove(place)
                return
        # It was served just then.
        self.give_back(place.result())

    def _replace(self, lost: Decoder) -> None:
        self._all.discard(lost)
        threading.Thread(target=self._start_another, args=[lost], name="decoder start", daemon=True).start()

    def _start_another(self, lost: Decoder) -> None:
        lost.kill()
        while not self._closed.is_set():
            try:
                self._start_one()
            except DecoderLost as error:
                log.warning("%s It is tried again.", error)
                self._closed.wait(RETRY_SECONDS)
            else:
                return

    def _start_one(self) -> None:
        decoder = Decoder(self._limits)
        with self._lock:
            self._all.add(decoder)
        try:
            decoder.wait_ready()
        except DecoderLost:
            with self._lock:
                self._all.discard(decoder)
            raise
        if self._closed.is_set():
            decoder.close()
        else:
            self.give_back(decoder)
