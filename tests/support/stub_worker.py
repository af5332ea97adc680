"""`python -m tests.support.stub_worker`: the real worker with a stand-in for the model, which misbehaves on demand.

The label of a picture is the SHA-256 of its bytes, so every answer can be verified. What a picture makes its child do
beside that stands in the picture itself, see `make_picture`.
"""

import ctypes
import hashlib
import io
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from billiard.exceptions import SoftTimeLimitExceeded
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from shared.log import configure_logging
from shared.settings import Settings
from tests.support.wait import eventually, take_time
from worker.app import create_worker
from worker.inference.labels import Prediction
from worker.metrics import open_metrics
from worker.services import Services
from worker.stage_times import StageTimes

# The variable that names the file to which every execution adds a line: the picture's digest and the child's id.
EXECUTIONS = "STUB_EXECUTIONS"
# The variable that names the model.
MODEL = "STUB_MODEL"
# The variables that set the broker's own redelivery, in seconds: after how long, and how often it is looked for.
VISIBILITY_TIMEOUT = "STUB_VISIBILITY_TIMEOUT"
RESTORE_SECONDS = 1

BEHAVIOUR = "behaviour"
# Longer than any job may run.
MOST_UNTIL_SECONDS = 600
MEBIBYTE = 1024 * 1024
# Where the memory of a child is not bounded, it ends as if the kernel had done it.
MOST_MEMORY_BYTES = 64 * 1024 * MEBIBYTE


def make_picture(behaviour: str = "", *, side: int = 8) -> bytes:
    """Return a PNG of random pixels, unlike any other; it has about 3 * side * side bytes.

    `behaviour` is what classifying it does: `sleep=SECONDS`, `until=FILE` (until there is one), `sigkill`, `segv`,
    `loop` (past the soft time limit too), `memory` (allocates until it gets no more), `raise`, `needs=FILE` (raises
    while there is no such file), or nothing.
    """
    told = PngInfo()
    told.add_text(BEHAVIOUR, behaviour)
    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(file, "PNG", pnginfo=told, compress_level=1)
    return file.getvalue()


def digest_of(picture: bytes) -> str:
    """Return the label that the stub gives the picture."""
    return hashlib.sha256(picture).hexdigest()


def read_executions(file: Path) -> Counter[str]:
    """Return how often each picture, by its digest, was begun."""
    return Counter(line.split()[0] for line in file.read_text("utf-8").splitlines()) if file.exists() else Counter()


class StubModel:
    """What a worker tells of the stand-in."""

    name = os.environ.get(MODEL, "stub")
    digest = "0" * 64
    labels = ("cat", "dog")


class StubClassifier:
    """Answers with a picture's digest, after doing what the picture says."""

    model: Mapping[str, str] = {"name": StubModel.name, "digest": StubModel.digest}

    def __init__(self, executions: Path, times: StageTimes) -> None:
        self._executions = executions
        self._times = times

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        digest = digest_of(data)
        self._note(digest)
        with self._times.decode_timing(), Image.open(io.BytesIO(data)) as picture:
            behaviour, _, argument = str(picture.info.get(BEHAVIOUR, "")).partition("=")
        with self._times.model_step():
            BEHAVIOURS[behaviour](argument)
        return [Prediction(digest, round(1 / place, 5)) for place in range(1, top + 1)]

    def _note(self, digest: str) -> None:
        # One write: the lines of several children do not mix.
        file = os.open(self._executions, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{digest} {os.getpid()}\n".encode())
        finally:
            os.close(file)


def _loop(_: str) -> None:
    while True:
        try:
            take_time(60)
        except SoftTimeLimitExceeded:
            # As code in C would, which Python's signal handlers cannot interrupt.
            continue


def _wait_for(file: str) -> None:
    eventually(Path(file).exists, MOST_UNTIL_SECONDS, f"a file {file}")


def _allocate(_: str) -> None:
    blocks = []
    for _size in range(0, MOST_MEMORY_BYTES, 64 * MEBIBYTE):
        # Zeroes that nobody reads: they count as memory of the process and cost the machine none.
        blocks.append(bytes(64 * MEBIBYTE))
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(_: str) -> None:
    raise RuntimeError("the picture said so")


def _need(file: str) -> None:
    if not Path(file).exists():
        raise RuntimeError(f"there is no {file}")


BEHAVIOURS: Mapping[str, Callable[[str], None]] = {
    "": lambda _: None,
    "sleep": lambda seconds: take_time(float(seconds)),
    "until": _wait_for,
    "sigkill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "segv": lambda _: print(ctypes.string_at(0)),
    "loop": _loop,
    "memory": _allocate,
    "raise": _raise,
    "needs": _need,
}


def main() -> int:
    settings = Settings.from_environ(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    executions = Path(os.environ[EXECUTIONS])
    with open_metrics(settings) as metrics:
        return serve(Services.from_settings(settings, StubModel(), metrics), executions)


def serve(services: Services, executions: Path) -> int:
    worker = create_worker(services, lambda _progress: StubClassifier(executions, services.times))
    if VISIBILITY_TIMEOUT in os.environ:
        redelivering = {
            "ack_emulation": True,
            "visibility_timeout": int(os.environ[VISIBILITY_TIMEOUT]),
            "unacked_restore_interval": RESTORE_SECONDS,
            "unacked_restore_throttle": 1,
        }
        worker.app.conf.broker_transport_options.update(redelivering)
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
