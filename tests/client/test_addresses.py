"""Client and command line fail at once, with the reason, if the service has never answered at the URL."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Thread

import pytest

from topthree_client import Client, ServiceUnavailable, command_line, connection

LIMIT_SECONDS = 0.5
# A client that retried would take far longer.
MOST_SECONDS = connection.PATIENCE_SECONDS / 10


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch, no_proxies: None) -> None:
    monkeypatch.delenv("TOPTHREE_API_KEY", raising=False)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", LIMIT_SECONDS)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", LIMIT_SECONDS)


def listen(opened: ExitStack, backlog: int = 5) -> socket.socket:
    return opened.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=backlog)))


def address(listening: socket.socket) -> str:
    return f"127.0.0.1:{listening.getsockname()[1]}"


def refused(opened: ExitStack) -> str:
    with closing(listen(opened)) as listening:
        return f"http://{address(listening)}"


def unknown(opened: ExitStack) -> str:
    return "http://nowhere.invalid"


def black_hole(opened: ExitStack) -> str:
    listening = listen(opened, backlog=0)
    for _ in range(3):
        # Fill the backlog, so that the packets of further connections are dropped.
        waiting = opened.enter_context(closing(socket.socket()))
        waiting.setblocking(False)
        with suppress(BlockingIOError):
            waiting.connect(listening.getsockname())
    return f"http://{address(listening)}"


def mute(opened: ExitStack) -> str:
    return f"http://{address(listen(opened))}"


def speaking(listening: socket.socket, words: bytes) -> None:
    def speak() -> None:
        with suppress(OSError):
            while True:
                with listening.accept()[0] as connection:
                    connection.sendall(words)
                    connection.recv(100_000)

    Thread(target=speak, daemon=True).start()


def another_protocol(opened: ExitStack) -> str:
    speaking(listening := listen(opened), b"SSH-2.0-OpenSSH_9.9\r\n")
    return f"http://{address(listening)}"


def no_tls(opened: ExitStack) -> str:
    speaking(listening := listen(opened), b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return f"https://{address(listening)}"


def dead_proxy(opened: ExitStack) -> str:
    opened.enter_context(pytest.MonkeyPatch.context()).setenv("http_proxy", refused(opened))
    return "http://pictures.example"


TROUBLES = [
    (refused, "cannot be reached: Connection refused"),
    (unknown, "cannot be reached: "),
    (black_hole, "cannot be reached: connecting timed out after"),
    (mute, "cannot be reached: there was no response within"),
    (another_protocol, "cannot be reached: Server disconnected"),
    (no_tls, "cannot be reached: [SSL"),
    (dead_proxy, "cannot be reached through the proxy set in the environment: Connection refused"),
]


@pytest.fixture(params=TROUBLES, ids=lambda trouble: trouble[0].__name__)
def told(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A URL without a service, and the beginning of the error message."""
    make, words = request.param
    with ExitStack() as opened:
        url = make(opened)
        yield url, f"{url} {words}"


CALLS: dict[str, Callable[[Client], object]] = {
    "classify": lambda asking: asking.classify(b"a picture"),
    "submit": lambda asking: asking.submit(b"a picture"),
    "wait": lambda asking: asking.wait("0" * 32),
    "status": lambda asking: asking.status(),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_client_fails_with_the_reason_and_without_a_retry(told: tuple[str, str], call: str) -> None:
    # Given a URL without a service
    url, words = told
    # When the client is called, Then it fails soon, with the URL and the reason
    started = time.monotonic()
    with Client(url) as asking, pytest.raises(ServiceUnavailable, match=f"^{re.escape(words)}"):
        CALLS[call](asking)
    assert time.monotonic() - started < MOST_SECONDS


def test_the_command_line_fails_with_the_same_reason(
    capsys: pytest.CaptureFixture[str], told: tuple[str, str], tmp_path: Path
) -> None:
    url, words = told
    (tmp_path / "a.png").write_bytes(b"a picture")
    started = time.monotonic()
    assert command_line.main(["classify", str(tmp_path / "a.png"), "--url", url]) == 3
    assert time.monotonic() - started < MOST_SECONDS
    assert words in capsys.readouterr().err
