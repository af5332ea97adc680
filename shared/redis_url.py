"""Parses `REDIS_URL` once for both redis-py and Celery.

Imports only the standard library and redis_tls.py, because Flower's container uses it too
(deploy/monitoring/flower_celery.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from shared.redis_tls import TLS_OPTIONS, Tls, parse_tls

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
SCHEMES = ("redis", "rediss", "unix", "sentinel")
FORMS = (
    "redis://:password@host:6379/0, rediss://… for TLS, unix:///path?db=0, or "
    "sentinel://:password@host1:26379,host2:26379/name-of-the-primary/0"
)
ENCODED = "in a password, write all characters except letters, digits, `-` and `_` as %XX"
HOST = re.compile(r"[\w.-]+|[0-9a-fA-F:.]+(%[\w.-]+)?")
# A sentinel that does not answer within this time is passed over.
SENTINEL_SECONDS = 0.5
OPTIONS_OF: Mapping[str, tuple[str, ...]] = {"rediss": TLS_OPTIONS, "sentinel": ("sentinel_password",)}


@dataclass(frozen=True)
class Address:
    """Host (IPv6 addresses without brackets) and port."""

    host: str
    port: int

    def __str__(self) -> str:
        """`host:port`, as in a URL."""
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class RedisUrl:
    """Location of Redis and credentials: `addresses` for TCP, or the `path` of a Unix socket.

    With a `primary`, the addresses are those of sentinels, which know where the primary of this name is.
    `str` and `repr` omit user name and passwords.
    """

    addresses: tuple[Address, ...] = ()
    path: str = ""
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    primary: str = ""
    sentinel_password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The URL without its credentials."""
        if self.path:
            return f"unix://{self.path}?db={self.database}"
        place = ",".join(map(str, self.addresses))
        return f"{self._scheme}://{place}{f'/{self.primary}' if self.primary else ''}/{self.database}"

    @property
    def _scheme(self) -> str:
        if self.primary:
            return "sentinel"
        return "rediss" if self.tls else "redis"

    @property
    def _tls_options(self) -> dict[str, Any]:
        return {name: value for name in TLS_OPTIONS if (value := getattr(self.tls, name)) is not None}

    def connection_options(self) -> dict[str, Any]:
        """Return the arguments for redis-py's connection class, which depends on `path`, `tls` and `primary`."""
        place: dict[str, Any] = {}
        if self.path:
            place = {"path": self.path}
        elif not self.primary:
            place = {"host": self.addresses[0].host, "port": self.addresses[0].port}
        login = {"username": self.username, "password": self.password}
        return {**place, **login, "db": self.database, **(self._tls_options if self.tls else {})}

    def broker_settings(self) -> dict[str, Any]:
        """Return Celery's settings for this server; kombu takes TLS options and the primary's name separately."""
        login = ""
        if self.username or self.password:
            login = f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"
        if self.path:
            url = f"redis+socket://{login}{quote(self.path)}?virtual_host={self.database}"
        else:
            url = ";".join(f"{self._scheme}://{login}{address}/{self.database}" for address in self.addresses)
        more = {"master_name": self.primary, "sentinel_kwargs": self.sentinel_options()} if self.primary else {}
        tls = self._tls_options if self.tls else None
        return {"broker_url": url, "broker_use_ssl": tls, "broker_transport_options": more}

    def sentinel_options(self) -> dict[str, Any]:
        """Return the arguments for redis-py's connections to sentinels."""
        timeouts = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
        return {**timeouts, **({"password": self.sentinel_password} if self.sentinel_password else {})}


def parse_redis_url(text: str) -> RedisUrl:
    """Parse `REDIS_URL`.

    Raises:
        ValueError: the message says what is wrong and what is allowed, without any part of a possible password.
    """
    url = _split(text)
    path = _path(url)
    options = _options(url, ("db", *OPTIONS_OF.get(url.scheme, ())))
    primary, database = _primary(path) if url.scheme == "sentinel" else ("", path)
    username, password = _login(url)
    return RedisUrl(
        _addresses(url),
        path if url.scheme == "unix" else "",
        _database(options.get("db"), "" if url.scheme == "unix" else database),
        username,
        password,
        parse_tls(options) if url.scheme == "rediss" else None,
        primary,
        options.get("sentinel_password"),
    )


def _split(text: str) -> SplitResult:
    if not re.match(rf"({'|'.join(SCHEMES)})://", text, re.IGNORECASE):
        raise ValueError(f"it must have one of these forms: {FORMS}")
    # Python's parser silently removes some of these.
    if re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(f"it contains a space or a line break; {ENCODED}")
    try:
        url = urlsplit(text)
        port_is_right = url.scheme == "sentinel" or url.port is None or url.port > 0
    except ValueError:
        port_is_right = False
    # The text after the host may be part of an unencoded password.
    if not port_is_right or url.fragment or "@" in url.path + url.query:
        raise ValueError(f"it cannot be read as a URL with a host; {ENCODED}")
    return url


def _addresses(url: SplitResult) -> tuple[Address, ...]:
    if url.scheme == "unix":
        return ()
    if url.scheme != "sentinel":
        return (_address(url, DEFAULT_PORT),)
    places = url.netloc.rpartition("@")[2].split(",")
    return tuple(_address(_split(f"redis://{place}"), SENTINEL_PORT) for place in places)


def _primary(path: str) -> tuple[str, str]:
    """Return the name of the primary and the database."""
    name, _, database = path.partition("/")
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(
            "after the sentinels it needs the name of the primary, as in the sentinels' `sentinel monitor`: "
            "sentinel://host1:26379,host2:26379/name/0"
        )
    return name, database


def _address(url: SplitResult, default_port: int) -> Address:
    host = _decoded(url.hostname or "", "host")
    if not HOST.fullmatch(host) or (":" in host) != ("[" in url.netloc.rpartition("@")[2]):
        raise ValueError(f"it needs one host name or address (IPv6 in brackets); {ENCODED}")
    return Address(host, url.port or default_port)


def _path(url: SplitResult) -> str:
    path = _decoded(url.path, "path")
    if url.scheme != "unix":
        return path.removeprefix("/").removesuffix("/")
    if url.netloc.rpartition("@")[2] or path in ("", "/"):
        raise ValueError("a Unix socket has a path and no host: unix:///path, with three slashes")
    return path


def _login(url: SplitResult) -> tuple[str | None, str | None]:
    login, at, _ = url.netloc.rpartition("@")
    username, colon, password = login.partition(":")
    # It would be parsed as a user name, and printed, although it may be a password.
    if at and not colon:
        raise ValueError(
            "write a password without a user as `:password@`, and a user with a password as `name:password@`"
        )
    return _decoded(username, "user name") or None, _decoded(password, "password") or None


def _decoded(text: str, part: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"the %XX in its {part} are not valid UTF-8") from None


def _options(url: SplitResult, allowed: tuple[str, ...]) -> dict[str, str]:
    listed = ", ".join(f"`{name}`" for name in allowed)
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query), errors="strict")
    except ValueError:
        raise ValueError(f"its options must be `option=value`, separated by `&`; allowed are {listed}") from None
    options = dict(pairs)
    for name, value in pairs:
        shown = f"`{name}`" if re.fullmatch(r"[a-z_]{2,40}", name) else "one of its options"
        if name in TLS_OPTIONS and name not in allowed:
            raise ValueError(f"{shown} is for `rediss://` only; allowed are {listed}")
        if name == "sentinel_password" and name not in allowed:
            raise ValueError(f"{shown} is for `sentinel://` only; allowed are {listed}")
        if name not in allowed:
            raise ValueError(f"{shown} is not understood; allowed are {listed}")
        if not value:
            raise ValueError(f"{shown} has no value")
    if len(options) < len(pairs):
        raise ValueError("it has the same option twice")
    return options


def _database(option: str | None, path: str) -> int:
    if option is not None and path:
        raise ValueError(f"it gives the database twice, as `/{path[:5]}` and as `db`; give it once")
    number = path if option is None else option
    if not re.fullmatch(r"[0-9]{0,5}", number):
        raise ValueError("its database must be a number, as in redis://host/0 or unix:///path?db=0")
    return int(number or 0)
