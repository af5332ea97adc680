"""A connection of the web server, whose application and middleware may fail."""

import logging
import socket
from collections.abc import Iterable
from typing import Any

import pytest
from werkzeug.wrappers import Response

from api.server.connection import Connection, Site
from api.server.environ import base_environ
from api.server.receiving import Receiving
from api.server.turns import Turns


def fails(_environ: Any, _start_response: Any) -> Iterable[bytes]:
    raise RuntimeError("broken")


@pytest.mark.parametrize("of_middleware", [False, True])
def test_what_fails_is_answered_and_logged_a_few_times(caplog: pytest.LogCaptureFixture, of_middleware: bool) -> None:
    # Given an application that fails, whose middleware may fail with whatever it wraps
    refused: list[int] = []
    site = Site(
        fails,
        (lambda _: fails) if of_middleware else (lambda app: app),
        refused.append,
        Receiving(1024),
        Turns(),
        base_environ("localhost", 5000),
    )
    # When it is asked
    ours, theirs = socket.socketpair()
    with ours, theirs, caplog.at_level(logging.ERROR):
        theirs.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        theirs.shutdown(socket.SHUT_WR)
        Connection(ours, "127.0.0.1", site).run()
        ours.close()
        answer = theirs.makefile("rb").read()
    # Then the answer is an internal error, once, and the log does not grow without end
    assert answer.startswith(b"HTTP/1.1 500 ") and answer.count(b"HTTP/1.1") == 1
    assert refused == [500]
    assert len(caplog.records) == (2 if of_middleware else 1)


def test_an_application_that_works_is_not_touched() -> None:
    shared: Any = (Receiving(1024), Turns(), base_environ("localhost", 5000))
    site = Site(Response("well"), lambda app: app, lambda _: None, *shared)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        theirs.shutdown(socket.SHUT_WR)
        Connection(ours, "127.0.0.1", site).run()
        ours.close()
        assert theirs.makefile("rb").read().endswith(b"\r\n\r\nwell")
