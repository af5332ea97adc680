"""Calls that would block all green threads run in native threads, however many of them hang."""

import threading

import pytest

from api import header_check
from api.header_check import QUICK_BYTES, check_header
from api.native_threads import NativeThreads
from shared.jobs.models import ImageInfo
from tests.unit.api.conftest import encode

HANGING = 100


def test_hanging_calls_do_not_delay_others() -> None:
    # Given many hanging calls
    threads, gate = NativeThreads(), threading.Event()
    hanging = [threads.submit(gate.wait) for _ in range(HANGING)]
    try:
        # When another call is submitted, Then it completes
        assert threads.submit(lambda: 1).result(10) == 1
        with pytest.raises(ZeroDivisionError):
            threads.submit(lambda: 1 // 0).result(10)
    finally:
        gate.set()
    assert all(future.result(10) for future in hanging)


LARGE = encode("PNG").ljust(QUICK_BYTES + 1, b"\0")


@pytest.mark.parametrize(
    ("data", "natively"),
    [(encode("JPEG"), False), (encode("PNG"), False), (encode("TIFF"), True), (LARGE, True)],
    ids=["jpeg", "png", "tiff", "large png"],
)
def test_slow_header_checks_run_in_a_native_thread(
    monkeypatch: pytest.MonkeyPatch, data: bytes, natively: bool
) -> None:
    # Given a header check that records its thread
    inspect, threads = header_check.inspect_picture, []

    def watched(data: bytes) -> ImageInfo:
        threads.append(threading.get_ident())
        return inspect(data)

    monkeypatch.setattr(header_check, "inspect_picture", watched)
    # When a picture is checked, Then a native thread does it if the check may be slow
    assert check_header(data).bytes == len(data)
    assert (threads != [threading.get_ident()]) == natively
