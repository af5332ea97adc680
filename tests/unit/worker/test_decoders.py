"""Decoders are real processes: what kills one of them costs its own picture and nothing else."""

import os
import signal
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
from tests.support.wait import eventually
from worker.decode import as_input, decode
from worker.decoders import DecoderLimits, Decoders, Pixels
from worker.link import Kind
from worker.lost import DecoderLost

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


def pids(decoders: Decoders) -> list[int]:
    return [decoder._process.pid for decoder in decoders._all]


def in_hand(decoders: Decoders) -> "Future[Pixels]":
    """Have the only decoder stopped with a picture in hand."""
    os.kill(pids(decoders)[0], signal.SIGSTOP)
    sent = threading.Event()
    link = decoders._all[0]._link
    send = link.send

    def send_and_tell(kind: Kind, data: bytes, deadline: float | None = None) -> None:
        send(kind, data, deadline)
        sent.set()

    link.send = send_and_tell  # type: ignore[method-assign,assignment]
    pool = ThreadPoolExecutor(1)
    future = pool.submit(decoded, decoders, PICTURE)
    pool.shutdown(wait=False)
    assert sent.wait(10)
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
    before = pids(decoders)
    # When bad pictures come, Then the errors are those of decoding here
    for data, kind in ((PICTURE[: len(PICTURE) // 2], UndecodablePicture), (b"no picture", UnsupportedPicture)):
        with pytest.raises(kind) as here:
            decode(data, LIMITS.height, LIMITS.width)
        with pytest.raises(kind) as there:
            decoded(decoders, data)
        assert str(there.value) == str(here.value)
    # And the process is the same, and well
    assert decoded(decoders, PICTURE).any() and pids(decoders) == before


def test_a_picture_that_wants_too_much_memory_is_refused(make_decoders: Callable[..., Decoders]) -> None:
    decoders = make_decoders(limits=replace(LIMITS, memory_bytes=64 * MEBIBYTE))
    with pytest.raises(MemoryError):
        decoded(decoders, encode(Image.new("RGB", (6000, 6000)), "PNG"))
    assert decoded(decoders, PICTURE).any()


def test_a_decoder_that_dies_with_a_picture_is_replaced(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder with a picture in hand
    decoders = make_decoders()
    future, before = in_hand(decoders), pids(decoders)
    # When it dies, Then that picture's attempt is lost
    os.kill(before[0], signal.SIGKILL)
    with pytest.raises(DecoderLost):
        future.result(10)
    # And another process has the next one
    assert decoded(decoders, PICTURE).any() and pids(decoders) != before


def test_a_decoder_that_takes_too_long_is_replaced(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder that stands still
    decoders = make_decoders(limits=replace(LIMITS, seconds=0.5))
    future, before = in_hand(decoders), pids(decoders)
    # Then its picture has run out of time
    with pytest.raises(SoftTimeLimitExceeded):
        future.result(10)
    # And another process has the next one
    assert pids(decoders) != before


def test_a_picture_that_decodes_for_too_long_is_to_blame(
    make_decoders: Callable[..., Decoders], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a decoder whose pictures may take a fifth of a second, of which the half is enough to tell
    monkeypatch.setattr("worker.decoders.OWN_SECONDS", 0.05)
    decoders = make_decoders(limits=replace(LIMITS, seconds=0.2))
    # When a large one comes, Then that is too expensive
    with pytest.raises(PictureTooExpensive):
        decoded(decoders, jpeg_of_scans(2000, side=2000))


def test_one_that_died_idle_costs_no_picture(make_decoders: Callable[..., Decoders]) -> None:
    # Given a decoder that was killed while it had nothing to do
    decoders = make_decoders()
    os.kill(pids(decoders)[0], signal.SIGKILL)
    os.waitid(os.P_PID, pids(decoders)[0], os.WEXITED | os.WNOWAIT)
    # When a picture comes, Then it is decoded all the same
    assert decoded(decoders, PICTURE).any()


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

    with ThreadPoolExecutor(10) as pool, decoders.turn() as turn:
        for number in range(10):
            pool.submit(wait, number)
            eventually(lambda wanted=number + 1: len(decoders._line) == wanted, what="a longer line")  # type: ignore[misc]
        # When it is free, Then they come in their order
        turn.end()
    assert served == list(range(10))


def test_closed_decoders_are_gone(make_decoders: Callable[..., Decoders]) -> None:
    decoders = make_decoders(2)
    decoders.close()
    assert all(decoder._process.returncode == 0 for decoder in decoders._all)
