"""Which URLs and addresses webhooks may be sent to: public ones over https, and hosts that the operator allows."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

MAX_URL_LENGTH = 2000
HTTPS_PORT, HTTP_PORT = 443, 80
# Lower ones belong to services that do not speak https.
MIN_OTHER_PORT = 1024
URL = re.compile(r"[\x21-\x5b\x5d-\x7e]*")
NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?")
# urlsplit ignores text behind the bracket; a zone (`%0`) makes the same address look like another one.
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:%]+)(:[0-9]+)?")
# Resolvers take names that end like this for IPv4 addresses: 127.1, 0x7f000001, 017700000001.
NUMERIC = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not for the public, although some versions of Python take them for global: protocol assignments, the 6to4 relay, the
# metadata server of Azure, Teredo and other protocol assignments, documentation.
SPECIAL = [
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2001::/23", "2001:db8::/32", "3fff::/20")
]


class TargetRefused(ValueError):
    """No webhook may be sent there; the message says why, and is for whoever gave the URL."""


@dataclass(frozen=True)
class WebhookTarget:
    """A URL in parts: `host` without brackets, `path` with the query. `allowed` hosts may have any address."""

    tls: bool
    host: str
    port: int
    path: str
    allowed: bool

    @property
    def authority(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (HTTPS_PORT if self.tls else HTTP_PORT) else f"{host}:{self.port}"


def parse_target(url: str, allowed_hosts: Collection[str]) -> WebhookTarget:
    """Check a URL without resolving its host.

    `allowed_hosts` are names and addresses, in lower case and without brackets, that may be private, and have any port
    and no TLS.

    Raises:
        TargetRefused: the URL is malformed, not for https, or names an address that is not public.
    """
    parts, port = _split(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    allowed = host in allowed_hosts
    if not allowed:
        if not tls:
            raise TargetRefused("it must begin with https://")
        if port != HTTPS_PORT and port < MIN_OTHER_PORT:
            raise TargetRefused(f"its port must be {HTTPS_PORT}, or {MIN_OTHER_PORT} or higher")
        _check_host(host, in_brackets=parts.netloc.startswith("["))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookTarget(tls, host, port, path, allowed)


def receiver_of(url: str, owner: str) -> str:
    """Return a name for where an owner's webhooks to a checked URL go: each has its own share of the senders.

    The owner is part of it: otherwise one could slow down the webhooks of another by naming the same host.
    """
    parts, port = _split(url)
    return f"{owner} {(parts.hostname or '').rstrip('.')}:{port}"


def _split(url: str) -> tuple[SplitResult, int]:
    """Return the parts of a URL and its port; TargetRefused if it is malformed."""
    if len(url) > MAX_URL_LENGTH:
        raise TargetRefused(f"it has more than {MAX_URL_LENGTH} characters")
    if not URL.fullmatch(url):
        raise TargetRefused("it is not a URL: write all other characters than ASCII's, spaces and `\\` as %XX")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise TargetRefused("it is not a URL") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise TargetRefused("it must begin with https:// and a host")
    if "@" in parts.netloc:
        raise TargetRefused("it must not contain a user name or a password")
    if not AUTHORITY.fullmatch(parts.netloc):
        raise TargetRefused("its host or its port is not written as usual")
    if port == 0:
        raise TargetRefused("its port is 0")
    return parts, port or (HTTPS_PORT if parts.scheme == "https" else HTTP_PORT)


def _check_host(host: str, *, in_brackets: bool) -> None:
    if not in_brackets and not NUMERIC.fullmatch(host):
        if not NAME.fullmatch(host):
            raise TargetRefused("its host is not a name; write an international one in its ASCII form (xn--…)")
        return
    try:
        address = ipaddress.IPv6Address(host) if in_brackets else ipaddress.IPv4Address(host)
    except ValueError:
        raise TargetRefused("its host is not an address as it is usually written") from None
    if not is_public(str(address)):
        raise TargetRefused("its address is not public")


def is_public(text: str) -> bool:
    """Whether this address belongs to the public Internet; one that contains an IPv4 address counts as that."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner:
            return is_public(str(inner))
        if address not in GLOBAL_UNICAST or address.scope_id:
            return False
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in SPECIAL if network.version == address.version)


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None
