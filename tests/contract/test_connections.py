"""What stands in REDIS_URL means the same for redis-py and for Celery: both find the same database, or neither does."""

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import kombu.exceptions
import pytest
import redis
import trustme

from shared.redis_client import connect
from shared.redis_url import parse_redis_url
from shared.settings import Settings
from tests.support.processes import RedisServer
from tests.support.tcp_proxy import TcpProxy
from worker.runtime.celery_app import create_celery

PASSWORD = "s3cret/@:#?%ä"
LOGIN = f":{quote(PASSWORD, safe='')}@"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("connections")


@pytest.fixture(scope="module")
def secured(folder: Path) -> Iterator[RedisServer]:
    """A server with a password, a user without one, and a Unix socket."""
    server = RedisServer(folder / "redis", "--unixsocket", str(folder / "a b.sock"), password=PASSWORD)
    with server.client() as client:
        client.acl_setuser("guest", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all"])
    yield server
    server.kill()


@pytest.fixture(scope="module")
def tls_port(secured: RedisServer, folder: Path) -> Iterator[int]:
    """The port on which the same server speaks TLS, by the name of localhost, to clients with a certificate."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    with TcpProxy(secured.port, context) as proxy:
        yield proxy.port


@contextmanager
def celery_client(url: str) -> Iterator[Any]:
    """The client with which Celery's connection to its broker works."""
    app = create_celery(Settings.from_environ({"REDIS_URL": url}))
    try:
        with app.connection_for_write() as connection:
            # Without the retries of `default_channel`.
            connection.connect()
            yield connection.channel().client
    finally:
        app.close()


def assert_same_database(url: str, secured: RedisServer, database: int) -> None:
    # Given a key in the database that is meant
    with secured.client() as client:
        client.flushall()
        client.select(database)
        client.set("here", "yes")
    # When a client of the API or of a worker and Celery's connect, Then both find it
    with connect(parse_redis_url(url), max_connections=1) as client:
        assert client.get("here") == "yes"
    with celery_client(url) as client:
        assert client.get("here") == b"yes"


@pytest.mark.parametrize("database", [0, 1])
def test_a_unix_socket_is_one_database_for_both(secured: RedisServer, folder: Path, database: int) -> None:
    path = quote(str(folder / "a b.sock"))
    assert_same_database(f"unix://{LOGIN}{path}?db={database}", secured, database)


@pytest.mark.parametrize(
    ("place", "database"),
    [("/0", 0), ("/3", 3), ("/3/", 3), ("", 0), ("/", 0), ("?db=2", 2), ("/?db=2", 2)],
)
def test_a_database_is_the_same_for_both(secured: RedisServer, place: str, database: int) -> None:
    assert_same_database(f"redis://{LOGIN}127.0.0.1:{secured.port}{place}", secured, database)


@pytest.mark.parametrize("login", [LOGIN, f"default{LOGIN}", "guest:@", "guest:anything@"])
def test_credentials_are_the_same_for_both(secured: RedisServer, login: str) -> None:
    assert_same_database(f"REDIS://{login}LocalHost:{secured.port}/1", secured, 1)


def with_tls(port: int, host: str, folder: Path, options: str) -> str:
    return f"rediss://{LOGIN}{host}:{port}/1?ssl_certfile={folder / 'client.pem'}{options}"


@pytest.mark.parametrize("options", ["", "&ssl_cert_reqs=CERT_REQUIRED", "&ssl_cert_reqs=optional"])
def test_a_server_that_proves_its_name_is_talked_to_by_both(
    secured: RedisServer, tls_port: int, folder: Path, options: str
) -> None:
    assert_same_database(
        with_tls(tls_port, "localhost", folder, f"&ssl_ca_certs={folder / 'ca.pem'}{options}"), secured, 1
    )


@pytest.mark.parametrize("options", ["&ssl_cert_reqs=CERT_NONE", "&ssl_cert_reqs=none&ssl_check_hostname=true"])
def test_a_server_that_need_not_prove_its_name_is_talked_to_by_both(
    secured: RedisServer, tls_port: int, folder: Path, options: str
) -> None:
    assert_same_database(with_tls(tls_port, "127.0.0.1", folder, options), secured, 1)


def test_a_name_that_need_not_be_right_is_not_checked_by_either(
    secured: RedisServer, tls_port: int, folder: Path
) -> None:
    options = f"&ssl_ca_certs={folder / 'ca.pem'}&ssl_check_hostname=false"
    assert_same_database(with_tls(tls_port, "127.0.0.1", folder, options), secured, 1)


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("localhost", lambda _: ""),
        ("localhost", lambda _: "&ssl_cert_reqs=optional"),
        ("127.0.0.1", lambda folder: f"&ssl_ca_certs={folder / 'ca.pem'}"),
    ],
    ids=["unknown authority", "optional and unknown", "another name"],
)
def test_a_server_that_does_not_prove_its_name_is_talked_to_by_neither(
    tls_port: int, folder: Path, host: str, options: Callable[[Path], str]
) -> None:
    url = with_tls(tls_port, host, folder, options(folder))
    failures = (redis.ConnectionError, kombu.exceptions.OperationalError, OSError)
    with (
        connect(parse_redis_url(url), max_connections=1) as client,
        pytest.raises(failures, match="CERTIFICATE_VERIFY"),
    ):
        client.ping()
    with pytest.raises(failures, match="CERTIFICATE_VERIFY"), celery_client(url) as client:
        client.ping()


def test_variables_of_celery_lead_to_no_other_server(secured: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        monkeypatch.setitem(os.environ, name, "redis://127.0.0.1:1/7")
    assert_same_database(f"redis://{LOGIN}127.0.0.1:{secured.port}/1", secured, 1)


@pytest.mark.parametrize("url", ["redis://{login}host:1/0", "rediss://{login}host:1/0", "unix://{login}/x.sock?db=1"])
def test_celery_prints_no_password(url: str) -> None:
    app = create_celery(Settings.from_environ({"REDIS_URL": url.format(login="me:hunter2@")}))
    assert "hunter2" not in app.connection_for_read().as_uri()
    app.close()
