"""What would stop all green threads runs in native ones, however many hang."""

import threading
import zlib

import pytest

from api import header_check
from api.header_check import check_header
from api.native_threads import NativeThreads
from shared.jobs.models import ImageInfo
from tests.hostile import bombs
from tests.unit.api.conftest import encode

HANGING = 100


def test_calls_that_hang_hold_up_no_other() -> None:
    # Given many calls that hang
    threads, gate = NativeThreads(), threading.Event()
    hanging = [threads.submit(gate.wait) for _ in range(HANGING)]
    try:
        # When another one comes, Then it is done
        assert threads.submit(lambda: 1).result(10) == 1
        with pytest.raises(ZeroDivisionError):
            threads.submit(lambda: 1 // 0).result(10)
    finally:
        gate.set()
    assert all(future.result(10) for future in hanging)


PROFILE = bombs.png_with(b"iCCP", b"x\0\0" + zlib.compress(b"x" * 1000))


@pytest.mark.parametrize(
    ("data", "natively"),
    [(encode("JPEG"), False), (encode("PNG"), False), (encode("TIFF"), True), (PROFILE, True)],
    ids=["jpeg", "png", "tiff", "png with a profile"],
)
def test_headers_that_may_take_long_are_checked_in_a_native_thread(
    monkeypatch: pytest.MonkeyPatch, data: bytes, natively: bool
) -> None:
    # Given a check that tells where it runs
    inspect, threads = header_check.inspect_picture, []

    def watched(data: bytes) -> ImageInfo:
        threads.append(threading.get_ident())
        return inspect(data)

    monkeypatch.setattr(header_check, "inspect_picture", watched)
    # When a picture is checked, Then it is in a thread of its own if that may take long
    assert check_header(data).bytes == len(data)
    assert (threads != [threading.get_ident()]) == natively
