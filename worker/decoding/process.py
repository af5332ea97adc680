"""A process that decodes pictures for a worker, one at a time."""

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from billiard.exceptions import SoftTimeLimitExceeded
from numpy.typing import NDArray

from shared.awake_timer import AwakeTimer
from shared.errors import PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from worker.decoding.channel import Kind, MessageChannel
from worker.decoding.errors import DecodeProcessLost
from worker.runtime.cpu_time import OWN_SECONDS, cpu_seconds

Pixels = NDArray[np.uint8]
# A decoder imports the readers of all formats at its start; allow for a busy machine.
START_SECONDS = 60
# A decoder without a picture ends as soon as its connection is closed.
END_SECONDS = 5
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class DecodeLimits:
    """Size of the decoded picture in pixels, and the limits of time and memory for decoding it."""

    height: int
    width: int
    seconds: float
    memory_bytes: int


class DecodeProcess:
    """A decode process; used by one thread at a time, unusable after a failure."""

    def __init__(self, limits: DecodeLimits) -> None:
        """Start the process without waiting until it is ready; DecodeProcessLost if it cannot be started."""
        self._limits = limits
        try:
            self._process, self._channel = self._start()
        except OSError as error:
            raise DecodeProcessLost(f"No decoder can be started: {error}") from error

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until the process is ready for pictures; DecodeProcessLost if it does not start."""
        try:
            self._channel.receive(AwakeTimer(START_SECONDS))
        except OSError as error:
            self.kill()
            raise DecodeProcessLost("A decoder did not start.") from error

    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def decode(self, data: bytes, timer: AwakeTimer) -> Pixels:
        """Return the picture as uint8 [height, width, 3].

        Raises:
            UndecodablePicture, UnsupportedPicture, MemoryError: as `worker.decoding.decode.decode_pixels`.
            PictureTooExpensive: decoding exceeded the time limit because of the picture; the process was killed.
            SoftTimeLimitExceeded: the time limit passed, but the picture did not use the CPU time; the process was
                killed.
            DecodeProcessLost: the process died.
        """
        began = cpu_seconds(self.pid)
        try:
            self._channel.send(Kind.PICTURE, data, timer)
            kind, answer = self._channel.receive(timer)
        except TimeoutError:
            spent = cpu_seconds(self.pid) - began
            self.kill()
            if spent > OWN_SECONDS:
                raise PictureTooExpensive("Decoding takes longer than allowed.") from None
            raise SoftTimeLimitExceeded(self._limits.seconds) from None
        except OSError as error:
            self.kill()
            raise DecodeProcessLost("A decoder died while decoding a picture.") from error
        return self._pixels(kind, answer)

    def close(self) -> None:
        """End the process; kill it if it does not exit in time."""
        self._channel.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the process."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def _pixels(self, kind: Kind, answer: bytearray) -> Pixels:
        if kind is Kind.PIXELS:
            return np.frombuffer(answer, np.uint8).reshape(self._limits.height, self._limits.width, 3)
        message = answer.decode()
        if kind is Kind.UNDECODABLE:
            raise UndecodablePicture(message)
        if kind is Kind.UNSUPPORTED:
            raise UnsupportedPicture(message)
        if kind is Kind.NO_MEMORY:
            raise MemoryError
        raise RuntimeError(f"The decoder failed: {message}")

    def _start(self) -> tuple[subprocess.Popen[bytes], MessageChannel]:
        limits = self._limits
        ours, theirs = socket.socketpair()
        numbers = (theirs.fileno(), limits.height, limits.width, limits.memory_bytes)
        command = [sys.executable, "-m", "worker.decoding", *map(str, numbers)]
        with theirs:
            # Not a fork: that would copy the locks of this process's threads, its model and perhaps its GPU context.
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        return process, MessageChannel(ours)
