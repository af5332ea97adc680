"""Decode processes are real ones: what kills one costs its own picture and nothing else."""

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
from worker.decoding.errors import DecodeProcessLost
from worker.decoding.pool import DecodePool
from worker.decoding.process import DecodeLimits, Pixels

MEBIBYTE = 1024 * 1024
LIMITS = DecodeLimits(height=32, width=48, seconds=30, memory_bytes=256 * MEBIBYTE)
PICTURE = TRAFFIC_LIGHT.read_bytes()


@pytest.fixture
def make_decode_pool() -> Iterator[Callable[..., DecodePool]]:
    made: list[DecodePool] = []

    def make(count: int = 1, limits: DecodeLimits = LIMITS) -> DecodePool:
        made.append(DecodePool(count, limits))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def decoded(pool: DecodePool, data: bytes) -> Pixels:
    with pool.lease() as lease:
        return lease.decode(data)


def pid_of(pool: DecodePool) -> int:
    (pid,) = pool.pids()
    return pid


def replaced(pool: DecodePool, before: int) -> int:
    """Return the process id of the only decoder once it is another than `before`."""
    return eventually(lambda: next(iter(pool.pids() - {before}), None), what="a replacement") or 0


class ToldPicture(bytes):
    """The bytes of a picture, which tell when they are sent: their length goes first."""

    sent: threading.Event

    def __len__(self) -> int:
        self.sent.set()
        return super().__len__()


def in_hand(pool: DecodePool) -> "Future[Pixels]":
    """Have the only decoder stopped with a picture in hand."""
    os.kill(pid_of(pool), signal.SIGSTOP)
    picture = ToldPicture(PICTURE)
    picture.sent = threading.Event()
    executor = ThreadPoolExecutor(1)
    future = executor.submit(decoded, pool, picture)
    executor.shutdown(wait=False)
    assert picture.sent.wait(10)
    return future


@pytest.mark.parametrize("data", [PICTURE, encode_turned(photograph("coffee.png"), 6, "JPEG")], ids=["PNG", "JPEG"])
def test_pixels_are_those_of_decoding_here(make_decode_pool: Callable[..., DecodePool], data: bytes) -> None:
    pixels = decoded(make_decode_pool(), data)
    assert (pixels.shape, pixels.dtype) == ((LIMITS.height, LIMITS.width, 3), np.uint8)
    assert np.array_equal(as_input(pixels), decode(data, LIMITS.height, LIMITS.width))


def test_a_bad_picture_is_refused_in_the_same_words_and_the_process_goes_on(
    make_decode_pool: Callable[..., DecodePool],
) -> None:
    # Given one decoder
    pool = make_decode_pool()
    before = pid_of(pool)
    # When bad pictures come, Then the errors are those of decoding here
    for data, kind in ((PICTURE[: len(PICTURE) // 2], UndecodablePicture), (b"no picture", UnsupportedPicture)):
        with pytest.raises(kind) as here:
            decode(data, LIMITS.height, LIMITS.width)
        with pytest.raises(kind) as there:
            decoded(pool, data)
        assert str(there.value) == str(here.value)
    # And the process is the same, and well
    assert decoded(pool, PICTURE).any() and pid_of(pool) == before


def test_a_picture_that_wants_too_much_memory_is_refused(make_decode_pool: Callable[..., DecodePool]) -> None:
    pool = make_decode_pool(limits=replace(LIMITS, memory_bytes=64 * MEBIBYTE))
    with pytest.raises(MemoryError):
        decoded(pool, encode(Image.new("RGB", (6000, 6000)), "PNG"))
    assert decoded(pool, PICTURE).any()


def test_a_decoder_that_dies_with_a_picture_is_replaced(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given a decoder with a picture in hand
    pool = make_decode_pool()
    future, before = in_hand(pool), pid_of(pool)
    # When it dies, Then that picture's attempt is lost
    os.kill(before, signal.SIGKILL)
    with pytest.raises(DecodeProcessLost):
        future.result(10)
    # And another process has the next one
    assert decoded(pool, PICTURE).any() and pid_of(pool) != before


def test_a_decoder_that_takes_too_long_is_replaced(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given a decoder that stands still
    pool = make_decode_pool(limits=replace(LIMITS, seconds=0.5))
    future, before = in_hand(pool), pid_of(pool)
    # Then its picture has run out of time
    with pytest.raises(SoftTimeLimitExceeded):
        future.result(10)
    # And another process has the next one
    assert replaced(pool, before) and decoded(pool, PICTURE).any()


def test_a_picture_that_decodes_for_too_long_is_to_blame(
    make_decode_pool: Callable[..., DecodePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a decoder whose pictures may take a second, of which a little is enough to tell
    monkeypatch.setattr("worker.decoding.process.OWN_SECONDS", 0.05)
    pool = make_decode_pool(limits=replace(LIMITS, seconds=1))
    # When a large one comes, Then that is too expensive
    with pytest.raises(PictureTooExpensive):
        decoded(pool, jpeg_of_scans(2000, side=2000))


def test_one_that_died_idle_costs_no_picture(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given a decoder that was killed while it had nothing to do
    pool = make_decode_pool()
    os.kill(pid_of(pool), signal.SIGKILL)
    os.waitid(os.P_PID, pid_of(pool), os.WEXITED | os.WNOWAIT)
    # When a picture comes, Then it is decoded all the same
    assert decoded(pool, PICTURE).any()


def test_one_that_died_while_its_picture_was_fetched_costs_no_picture(
    make_decode_pool: Callable[..., DecodePool],
) -> None:
    # Given a job that has a decoder, and not yet its picture
    pool = make_decode_pool()
    with pool.lease() as lease:
        # When the decoder dies
        os.kill(pid_of(pool), signal.SIGKILL)
        os.waitid(os.P_PID, pid_of(pool), os.WEXITED | os.WNOWAIT)
        # Then another decodes it
        assert lease.decode(PICTURE).any()


def test_no_lease_begins_with_a_decoder_that_is_still_starting(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given a decoder that died, and a replacement that does not get on with its start
    pool = make_decode_pool()
    before = pid_of(pool)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    begun = threading.Event()

    def run() -> Pixels:
        with pool.lease() as lease:
            begun.set()
            return lease.decode(PICTURE)

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(run)
        os.kill(replaced(pool, before), signal.SIGSTOP)
        # When a job wants it, Then it does not begin
        assert not begun.wait(1)
        # And when the replacement is there, it does
        os.kill(pid_of(pool), signal.SIGCONT)
        assert future.result(30).any() and begun.is_set()


PAUSED_WORKER = """
import sys
from pathlib import Path
from worker.decoding.pool import DecodePool
from worker.decoding.process import DecodeLimits

class ToldPicture(bytes):
    def __len__(self):
        print("sent", flush=True)
        return super().__len__()

pool = DecodePool(1, DecodeLimits(32, 48, seconds=2, memory_bytes=1 << 28))
print(*pool.pids(), flush=True)
sys.stdin.readline()
with pool.lease() as lease:
    print("decoded", lease.decode(ToldPicture(Path(sys.argv[1]).read_bytes())).any())
pool.close()
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


def test_a_lease_that_decodes_nothing_frees_its_decoder(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given a job that ended before it had a picture
    pool = make_decode_pool()
    with pytest.raises(RuntimeError), pool.lease():
        raise RuntimeError
    # Then the next one has the decoder
    assert decoded(pool, PICTURE).any()


def test_a_lease_ends_when_the_pixels_are_there(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given one decoder and a job that has its pixels and waits for the model
    pool = make_decode_pool()
    with pool.lease() as lease:
        lease.decode(PICTURE)
        # Then another job can decode
        assert decoded(pool, PICTURE).any()


def test_who_waits_longest_is_next(make_decode_pool: Callable[..., DecodePool]) -> None:
    # Given one decoder, in use, and others in line for it
    pool = make_decode_pool()
    served: list[int] = []

    def wait(number: int) -> None:
        with pool.lease():
            served.append(number)

    with pool.lease() as lease:
        waiting = [threading.Thread(target=wait, args=[number]) for number in range(10)]
        for number, thread in enumerate(waiting, start=1):
            thread.start()
            eventually(lambda wanted=number: pool.waiting == wanted, what="a longer line")  # type: ignore[misc]
        # When it is free, Then they come in their order
        lease.end()
    for thread in waiting:
        thread.join(10)
    assert served == list(range(10))


def test_closed_decoders_are_gone(make_decode_pool: Callable[..., DecodePool]) -> None:
    pool = make_decode_pool(2)
    before = pool.pids()
    pool.close()
    assert not any(map(alive, before))
