"""Whose process is at the other end of a connection."""

import os
import socket
from collections.abc import Iterator

import pytest

from api.peer_user import TABLES, user_of_peer
from tests.support.needs import skip_outside_ci


@pytest.fixture(params=["127.0.0.1", "::1", "::"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection of this process with itself; with `::`, one over IPv4 with a dual-stack socket."""
    if not TABLES[0].exists():
        skip_outside_ci("needs Linux")
    is_dual = request.param == "::"
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family, dualstack_ipv6=is_dual) as listener:
        host = "127.0.0.1" if is_dual else request.param
        with socket.create_connection((host, listener.getsockname()[1])) as client:
            accepted, _ = listener.accept()
            with accepted:
                yield client, accepted


def test_the_user_of_a_peer_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    for end in ends:
        assert user_of_peer(end) == os.getuid()


def test_a_peer_of_no_connection_is_unknown() -> None:
    with socket.socket() as alone:
        assert user_of_peer(alone) is None
