"""Decoders are real processes: what kills one of them costs its own picture and nothing else."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from PIL import Image

from shared.errors import PictureTooExpensive, UndecodablePicture, UnsupportedPicture
from tests.hostile.bombs import jpeg_of_scans
from tests.support.pictures import TRAFFIC_LIGHT, encode, encode_turned, photograph
from tests.support.repository import ROOT
from tests.support.supervised import alive, outlast
from tests.support.wait import eventually
from worker.decoding.decode import as_input, decode
from worker.decoding.errors import DecoderLost
from worker.decoding.pool import DecoderLimits, Decoders, Pixels

MEBIBYTE = 1024 * 1024
LIMITS = DecoderLimits(height=32, width=48, seconds=30, memory_bytes=256 * MEBIBYTE)
PICTURE = TRAFFIC_LIGHT.read_bytes()


@pytest.fixture
def make_decoders() -> Iterator[Callable[..., Decoders]]:
    made: list[Decoders] = []

    def make(count: int = 1, limits: DecoderLimits = LIMITS) -> Decoders:
        made.append(Decoders(count, limits))
        return made[-1]

    yield make
    for decoders in made:
        decoders.close()


def decoded(decoders: Decoders, data: bytes) -> Pixels:
    with decoders.turn() as turn:
        return turn.decode(data)


def pid_of(decoders: Decoders) -> int:
    (pid,) = decoders.pids()
    return pid


def replaced(decoders: Decoders, before: int) -> int:
    """Return the process id of the only decoder once it is another than `before`."""
    return eventually(lambda: next(iter(decoders.pids() - {before}), None), what="a replacement") or 0


class ToldPicture(bytes):
    """The bytes of a picture, which tell when they are sent: their length goes first."""

    sent: threading.Event

    def __len__(self) -> int:
        self.sent.set()
        return super().__len__()


def in_hand(decoders: Decoders) -> "Future[Pixels]":
    """Have the only decoder stopped with a picture in hand."""
    os.kill(pid_of(decoders), signal.SIGSTOP)
    picture = ToldPicture(PICTURE)
    picture.sent = threading.Event()
    pool = ThreadPoolExecutor(1)
    future = pool.submit(decoded, decoders, picture)
    pool.shutdown(wait=False)
    assert picture.sent.wait(10)
    return future


@pytest.mark.parametrize("data", [PICTURE, encode_turned(photograph("coffee.png"), 6, "JPEG")], ids=["PNG", "JPEG"])
def test_pixels_are_those_of_decoding_here(make_decoders: Callable[..., Decoders], data: bytes) -> None:
    pixels = decoded(make_decoders(), data)
    assert (pixels.shape, pixels.dtype) == ((LIMITS.height, LIMITS.width, 3), np.uint8)
    assert np.array_equal(as_input(pixels), decode(data, LIMITS.height, LIMITS.width))


def test_a_bad_picture_is_refused_in_the_same_words_and_the_process_goes_on(
    make_decoders: Callable[..., Decoders],
) -> None:
    # Given one decoder
    decoders = make_decoders()
    before = pid_of(decoders)
    # When bad pictures come, Then the errors are those of decoding here
    for data, kind in ((PICTURE[: len(PICTURE) // 2], UndecodablePicture), (b"no picture", UnsupportedPicture)):
        with pytest.raises(kind) as here:
            decode(data, LIMITS.height, LIMITS.width)
        with pytest.raises(kind) as there:
            decoded(decoders, data)
        assert str(there.value) == str(here.value)
    # And the process is the same, and well
    assert decoded(decoders, PICTURE).any() and pid_of(decoders) == before


def test_a_picture_that_wants_too_much_memory_is_refused(make_decoders: Callable[..., Decoders]) -> None:
    decoders = make_decoders(limits=replace(LIMITS, memory_bytes=64 * MEBIBYTE))
    with pytest.raises(MemoryError):
        decoded(decoders, encode(Image.new("RGB", (6000, 6000)), "PNG"))
    assert decoded(decoders, PICTURE).any()


def test_a_decoder_that_dies_with_a_picture_is_replaced(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder with a picture in hand
    decoders = make_decoders()
    future, before = in_hand(decoders), pid_of(decoders)
    # When it dies, Then that picture's attempt is lost
    os.kill(before, signal.SIGKILL)
    with pytest.raises(DecoderLost):
        future.result(10)
    # And another process has the next one
    assert decoded(decoders, PICTURE).any() and pid_of(decoders) != before


def test_a_decoder_that_takes_too_long_is_replaced(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder that stands still
    decoders = make_decoders(limits=replace(LIMITS, seconds=0.5))
    future, before = in_hand(decoders), pid_of(decoders)
    # Then its picture has run out of time
    with pytest.raises(SoftTimeLimitExceeded):
        future.result(10)
    # And another process has the next one
    assert replaced(decoders, before) and decoded(decoders, PICTURE).any()


def test_a_picture_that_decodes_for_too_long_is_to_blame(
    make_decoders: Callable[..., Decoders], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a decoder whose pictures may take a second, of which a little is enough to tell
    monkeypatch.setattr("worker.decoding.pool.OWN_SECONDS", 0.05)
    decoders = make_decoders(limits=replace(LIMITS, seconds=1))
    # When a large one comes, Then that is too expensive
    with pytest.raises(PictureTooExpensive):
        decoded(decoders, jpeg_of_scans(2000, side=2000))


def test_one_that_died_idle_costs_no_picture(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder that was killed while it had nothing to do
    decoders = make_decoders()
    os.kill(pid_of(decoders), signal.SIGKILL)
    os.waitid(os.P_PID, pid_of(decoders), os.WEXITED | os.WNOWAIT)
    # When a picture comes, Then it is decoded all the same
    assert decoded(decoders, PICTURE).any()


def test_one_that_died_while_its_picture_was_fetched_costs_no_picture(make_decoders: Callable[..., Decoders]) -> None:
    # Given a job that has a decoder, and not yet its picture
    decoders = make_decoders()
    with decoders.turn() as turn:
        # When the decoder dies
        os.kill(pid_of(decoders), signal.SIGKILL)
        os.waitid(os.P_PID, pid_of(decoders), os.WEXITED | os.WNOWAIT)
        # Then another decodes it
        assert turn.decode(PICTURE).any()


def test_no_turn_begins_with_a_decoder_that_is_still_starting(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder that died, and a replacement that does not get on with its start
    decoders = make_decoders()
    before = pid_of(decoders)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    begun = threading.Event()

    def run() -> Pixels:
        with decoders.turn() as turn:
            begun.set()
            return turn.decode(PICTURE)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        os.kill(replaced(decoders, before), signal.SIGSTOP)
        # When a job wants it, Then it does not begin
        assert not begun.wait(1)
        # And when the replacement is there, it does
        os.kill(pid_of(decoders), signal.SIGCONT)
        assert future.result(30).any() and begun.is_set()


PAUSED_WORKER = """
import sys
from pathlib import Path
from worker.decoding.pool import DecoderLimits, Decoders

class ToldPicture(bytes):
    def __len__(self):
        print("sent", flush=True)
        return super().__len__()

decoders = Decoders(1, DecoderLimits(32, 48, seconds=2, memory_bytes=1 << 28))
print(*decoders.pids(), flush=True)
sys.stdin.readline()
with decoders.turn() as turn:
    print("decoded", turn.decode(ToldPicture(Path(sys.argv[1]).read_bytes())).any())
decoders.close()
"""


def test_a_pause_of_the_machine_costs_no_picture() -> None:
    # Given a decoder that has a picture in hand, for which it has two seconds
    command = [sys.executable, "-c", PAUSED_WORKER, str(TRAFFIC_LIGHT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        assert worker.stdin and worker.stdout
        decoder = int(worker.stdout.readline())
        os.kill(decoder, signal.SIGSTOP)
        print("go", file=worker.stdin, flush=True)
        assert worker.stdout.readline() == "sent\n"
        # When it and its worker stand still for longer, and go on
        os.kill(worker.pid, signal.SIGSTOP)
        outlast(2.5)
        for pid in (worker.pid, decoder):
            os.kill(pid, signal.SIGCONT)
        # Then it is decoded
        assert worker.stdout.readline() == "decoded True\n"


def test_a_turn_that_decodes_nothing_frees_its_decoder(make_decoders: Callable[..., Decoders]) -> None:
    # Given a job that ended before it had a picture
    decoders = make_decoders()
    with pytest.raises(RuntimeError), decoders.turn():
        raise RuntimeError
    # Then the next one has the decoder
    assert decoded(decoders, PICTURE).any()


def test_a_turn_ends_when_the_pixels_are_there(make_decoders: Callable[..., Decoders]) -> None:
    # Given one decoder and a job that has its pixels and waits for the model
    decoders = make_decoders()
    with decoders.turn() as turn:
        turn.decode(PICTURE)
        # Then another job can decode
        assert decoded(decoders, PICTURE).any()


def test_who_waits_longest_is_next(make_decoders: Callable[..., Decoders]) -> None:
    # Given one decoder, in use, and others in line for it
    decoders = make_decoders()
    served: list[int] = []

    def wait(number: int) -> None:
        with decoders.turn():
            served.append(number)

    with decoders.turn() as turn:
        waiting = [threading.Thread(target=wait, args=[number]) for number in range(10)]
        for number, thread in enumerate(waiting, start=1):
            thread.start()
            eventually(lambda wanted=number: decoders.waiting == wanted, what="a longer line")  # type: ignore[misc]
        # When it is free, Then they come in their order
        turn.end()
    for thread in waiting:
        thread.join(10)
    assert served == list(range(10))


def test_closed_decoders_are_gone(make_decoders: Callable[..., Decoders]) -> None:
    decoders = make_decoders(2)
    before = decoders.pids()
    decoders.close()
    assert not any(map(alive, before))
