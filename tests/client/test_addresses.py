"""A service that has never answered is told at once, whatever is wrong with its address, by client and command line."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.client.test_proxies import VARIABLES
from topthree_client import Client, ServiceUnavailable, client, command_line

# The time limits are this short here; what counts is that there is one attempt and no retry.
LIMIT_SECONDS = 0.5
MOST_SECONDS = 3


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "TOPTHREE_URL", "TOPTHREE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "CONNECT_SECONDS", LIMIT_SECONDS)
    monkeypatch.setattr(client, "ANSWER_SECONDS", LIMIT_SECONDS)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Closes the sockets of a test at its end."""
    with ExitStack() as stack:
        yield stack


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
        # Connections that nobody accepts fill the queue, so that packets for another one are dropped.
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
    return "http://pictures.example"


Trouble = Callable[[ExitStack], str]
TROUBLES = [
    (refused, "cannot be reached: Connection refused"),
    (unknown, "cannot be reached: "),
    (black_hole, r"cannot be reached: there was no connection within"),
    (mute, r"cannot be reached: there was no answer within"),
    (another_protocol, "cannot be reached: Server disconnected"),
    (no_tls, r"cannot be reached: \[SSL"),
    (dead_proxy, "cannot be reached through the proxy set in the environment: Connection refused"),
]


@pytest.mark.parametrize(("trouble", "words"), TROUBLES, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("call", ["classify", "submit", "wait", "status"])
def test_the_client_says_what_is_wrong_without_trying_again(
    monkeypatch: pytest.MonkeyPatch, opened: ExitStack, trouble: Trouble, words: str, call: str
) -> None:
    # Given an address at which there is no service
    url = trouble(opened)
    if trouble is dead_proxy:
        monkeypatch.setenv("http_proxy", refused(opened))
    # When it is asked, Then that fails, soon, with the address and the reason
    started = time.monotonic()
    with Client(url) as asking, pytest.raises(ServiceUnavailable, match=f"^{url} {words}"):
        getattr(asking, call)(*([] if call == "status" else ["0" * 32] if call == "wait" else [b"a picture"]))
    assert time.monotonic() - started < MOST_SECONDS


@pytest.mark.parametrize(("trouble", "words"), TROUBLES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_command_line_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    opened: ExitStack,
    tmp_path: Path,
    trouble: Trouble,
    words: str,
) -> None:
    url = trouble(opened)
    if trouble is dead_proxy:
        monkeypatch.setenv("http_proxy", refused(opened))
    (tmp_path / "a.png").write_bytes(b"a picture")
    started = time.monotonic()
    assert command_line.main(["classify", str(tmp_path / "a.png"), "--url", url]) == 3
    assert time.monotonic() - started < MOST_SECONDS
    assert words.replace("\\", "") in capsys.readouterr().err
