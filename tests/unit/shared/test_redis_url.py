"""REDIS_URL has one form; what is not understood is refused with a sentence that holds no password."""

from pathlib import Path

import pytest
import trustme

from shared.redis_tls import Tls
from shared.redis_url import Address, parse_redis_url


@pytest.mark.parametrize(
    ("text", "address", "database"),
    [
        ("redis://host", ("host", 6379), 0),
        ("redis://host/", ("host", 6379), 0),
        ("redis://host:6380/3", ("host", 6380), 3),
        ("redis://host/3/", ("host", 6379), 3),
        ("redis://host?db=2", ("host", 6379), 2),
        ("redis://host/?db=2", ("host", 6379), 2),
        ("REDIS://Host/1", ("host", 6379), 1),
        ("Rediss://host:6380/1", ("host", 6380), 1),
        ("redis://[::1]:6380/1", ("::1", 6380), 1),
        ("redis://[fe80::1%25eth0]/1", ("fe80::1%eth0", 6379), 1),
        ("redis://my_redis-1.example:6380", ("my_redis-1.example", 6380), 0),
    ],
)
def test_hosts_and_databases_are_read(text: str, address: tuple[str, int], database: int) -> None:
    url = parse_redis_url(text)
    assert (url.addresses, url.path, url.database) == ((Address(*address),), "", database)


@pytest.mark.parametrize(
    ("text", "path", "database"),
    [
        ("unix:///run/x.sock", "/run/x.sock", 0),
        ("unix:///run/x.sock?db=1", "/run/x.sock", 1),
        ("UNIX://:secret@/run/a%20b.sock?db=1", "/run/a b.sock", 1),
    ],
)
def test_sockets_are_read(text: str, path: str, database: int) -> None:
    url = parse_redis_url(text)
    assert (url.addresses, url.path, url.database) == ((), path, database)


@pytest.mark.parametrize(
    ("login", "username", "password"),
    [
        ("", None, None),
        (":@", None, None),
        (":secret@", None, "secret"),
        ("me:secret@", "me", "secret"),
        ("me:@", "me", None),
        (":a%2Fb%40c%3A%3F%23%25@", None, "a/b@c:?#%"),
        (":50%off+x@", None, "50%off+x"),
        ("m%C3%A9:s%C3%A9@", "mé", "sé"),
    ],
)
def test_credentials_are_read_and_not_printed(login: str, username: str | None, password: str | None) -> None:
    for text in (f"redis://{login}host/1", f"rediss://{login}host/1", f"unix://{login}/x.sock?db=1"):
        url = parse_redis_url(text)
        assert (url.username, url.password) == (username, password)
        assert password is None or password not in f"{url!r} {url}"


@pytest.mark.parametrize(
    ("query", "tls"),
    [
        ("", Tls()),
        ("?ssl_cert_reqs=CERT_NONE", Tls("none", ssl_check_hostname=False)),
        ("?ssl_cert_reqs=none", Tls("none", ssl_check_hostname=False)),
        ("?ssl_cert_reqs=Required", Tls("required")),
        ("?ssl_cert_reqs=CERT_OPTIONAL", Tls("optional")),
        ("?ssl_check_hostname=false", Tls(ssl_check_hostname=False)),
        ("?ssl_check_hostname=0", Tls(ssl_check_hostname=False)),
        ("?ssl_check_hostname=True", Tls()),
    ],
)
def test_options_of_tls_are_read(query: str, tls: Tls) -> None:
    assert parse_redis_url(f"rediss://host{query}").tls == tls


def test_certificates_are_read_at_once(tmp_path: Path) -> None:
    # Given an authority, a certificate, and its key
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("client")
    issued.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    # When they stand in the URL
    files = {name: str(tmp_path / name) for name in ("ca.pem", "client.pem", "client.key")}
    query = f"ssl_ca_certs={files['ca.pem']}&ssl_certfile={files['client.pem']}&ssl_keyfile={files['client.key']}"
    # Then they are taken
    assert parse_redis_url(f"rediss://host?{query}").tls == Tls(
        ssl_ca_certs=files["ca.pem"], ssl_certfile=files["client.pem"], ssl_keyfile=files["client.key"]
    )


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path, option: str) -> None:
    (tmp_path / "empty.pem").touch()
    for file in ("missing.pem", "empty.pem", ""):
        with pytest.raises(ValueError, match=f"`{option}`: .*{tmp_path / file}"):
            parse_redis_url(f"rediss://host?{option}={tmp_path / file}")


def test_sentinels_are_read() -> None:
    url = parse_redis_url("sentinel://me:s%2Fcret@one,two:26380,[::1]/my-primary/2?sentinel_password=hunter2")
    assert url.addresses == (Address("one", 26379), Address("two", 26380), Address("::1", 26379))
    assert (url.primary, url.database, url.username, url.password) == ("my-primary", 2, "me", "s/cret")
    assert str(url) == "sentinel://one:26379,two:26380,[::1]:26379/my-primary/2"
    assert "cret" not in repr(url)
    assert "hunter2" not in repr(url)


def test_celery_finds_the_same_sentinels() -> None:
    broker = parse_redis_url("sentinel://:s%2Fcret@one,two:26380/my-primary/2").broker_settings()
    assert broker["broker_url"] == "sentinel://:s%2Fcret@one:26379/2;sentinel://:s%2Fcret@two:26380/2"
    assert broker["broker_transport_options"]["master_name"] == "my-primary"


REFUSED = {
    "another scheme": ("http://:hunter2@host", "redis://"),
    "valkey": ("valkey://:hunter2@host", "redis://"),
    "sentinels without a primary": ("sentinel://:hunter2@host", "name of the primary"),
    "a primary of two words": ("sentinel://:hunter2@host/my%20primary/0", "name of the primary"),
    "a sentinel without a host": ("sentinel://:hunter2@one,:26379/name", "host"),
    "a sentinel on port 0": ("sentinel://:hunter2@one,two:0/name", "host"),
    "a database of the primary": ("sentinel://:hunter2@one/name/abc", "number"),
    "sentinels over TLS": ("sentinel://one/name?ssl_ca_certs=/x", "`ssl_ca_certs`.*rediss://"),
    "a password of sentinels without them": ("redis://one?sentinel_password=hunter2", "sentinel://` only"),
    "no scheme": (":hunter2@host", "redis://"),
    "one slash": ("redis:/:hunter2@host", "redis://"),
    "a slash in the password": ("redis://:hunter2/x@host", "%XX"),
    "a slash after digits": ("redis://:2/hunter2@host", "%XX"),
    "a question mark in it": ("redis://me:1?hunter2@host/0", "%XX"),
    "a hash in it": ("redis://me:1#hunter2@host/0", "%XX"),
    "a space": ("redis://:hunter2 @host", "space"),
    "a line break": ("redis://:hunter2@host\n", "line break"),
    "no host": ("redis://:hunter2@", "host"),
    "no host but a database": ("redis:///0", "host"),
    "two hosts": ("redis://:hunter2@one,two/0", "one host"),
    "an IPv6 address without brackets": ("redis://:hunter2@::1/0", "host"),
    "a broken IPv6 address": ("redis://:hunter2@[::1/0", "host"),
    "a port of letters": ("redis://:hunter2@host:one/0", "host"),
    "port 0": ("redis://:hunter2@host:0/0", "host"),
    "a port too large": ("redis://:hunter2@host:65536/0", "host"),
    "a password without its colon": ("redis://hunter2@host/0", ":password@"),
    "a password that is not UTF-8": ("redis://:hunter2%FF@host/0", "UTF-8"),
    "a database of letters": ("redis://host/abc", "number"),
    "a database below 0": ("redis://host/-1", "number"),
    "two numbers": ("redis://host/0/1", "number"),
    "a database of letters as option": ("redis://host?db=abc", "number"),
    "two databases": ("redis://host/0?db=1", "twice"),
    "an option twice": ("redis://host?db=1&db=1", "twice"),
    "an option without a value": ("redis://host?db=", "`db`"),
    "no option": ("redis://host?db", "option=value"),
    "a time-out": ("redis://host?socket_timeout=5", "`socket_timeout`.*`db`"),
    "a protocol": ("redis://host?protocol=3", "`protocol`.*`db`"),
    "a check": ("unix:///x?health_check_interval=10", "`health_check_interval`.*`db`"),
    "a name": ("rediss://host?client_name=me", "`client_name`.*`ssl_ca_certs`"),
    "kombu's database": ("unix:///x?virtual_host=1", "`virtual_host`.*`db`"),
    "a password as option": ("redis://host?password=hunter2", "`password`"),
    "an option that may be a secret": ("redis://host?Hunter2=1", "not understood"),
    "TLS without TLS": ("redis://host?ssl_ca_certs=/x", "`ssl_ca_certs`.*rediss://"),
    "an unknown option of TLS": ("rediss://host?ssl_ciphers=x", "`ssl_ciphers`.*`ssl_ca_certs`"),
    "verification by a wrong word": ("rediss://host?ssl_cert_reqs=maybe", "required, optional, none"),
    "a name that is checked maybe": ("rediss://host?ssl_check_hostname=maybe", "true or false"),
    "a key alone": ("rediss://host?ssl_keyfile=/x", "ssl_certfile"),
    "a socket with a host": ("unix://run/x.sock", "three slashes"),
    "a socket without a path": ("unix://", "three slashes"),
}


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        parse_redis_url(text)
    assert "unter2" not in str(refused.value)
