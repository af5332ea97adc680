"""Who may see failed jobs, and retry and cancel the jobs of others."""

import ipaddress
import os
import re
from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import Any

from flask import request

from api.auth import current_owner
from api.peer_user import PEER_USER
from shared.errors import NotAllowed
from shared.settings import Settings, SettingsError

# Names and addresses of this machine, as browsers write them. Somebody else may have pointed any other name to this
# machine (DNS rebinding).
_LOCAL_HOST = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
# Proxies and tunnels add such headers.
_FORWARDED = (
    *("HTTP_X_FORWARDED", "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_X_ORIGINAL"),
    *("HTTP_TRUE_CLIENT_IP", "HTTP_CF_"),
)
_OWN_SITE = ("", "none", "same-origin")
NO_OPERATOR = "Only operators may do this: the name of this API key is not in `OPERATORS`."
NOT_LOCAL = (
    "Without API keys, only requests from the service's own machine may do this: to `localhost`, and not through a "
    "proxy. To allow it from elsewhere, set `API_KEYS` and `OPERATORS`."
)


class Access(IntEnum):
    """What a request may see and do; each value includes those before it."""

    AGGREGATES = 0
    """Numbers, and workers."""
    FAILURES = 1
    """Why jobs failed, but no ids: whoever knows the id of a job can read and delete it."""
    ACTIONS = 2
    """Ids, details and owners of jobs; retry and cancel."""


class Operators:
    """Decides by the API key; without keys, by where the request comes from."""

    def __init__(self, names: Collection[str], *, has_keys: bool, has_proxies: bool) -> None:
        """`names` are those of the operators' keys; `has_proxies`: requests come through trusted proxies."""
        self._names = names
        self._has_keys = has_keys
        self._has_proxies = has_proxies

    @classmethod
    def from_settings(cls, settings: Settings) -> "Operators":
        """Raise SettingsError if an operator has no key."""
        names = settings.operator_names
        missing = sorted(names - {key.name for key in settings.api_keys})
        if missing:
            raise SettingsError(f"OPERATORS: API_KEYS has no key with the name {', '.join(missing)}")
        return cls(names, has_keys=bool(settings.api_keys), has_proxies=settings.trusted_proxies > 0)

    def access(self) -> Access:
        """Return what the current request may see and do."""
        if self._has_keys:
            return Access.ACTIONS if current_owner() in self._names else Access.AGGREGATES
        # Behind proxies nothing is known about the machine that a request comes from: a client may have written the
        # address, if there are fewer proxies than TRUSTED_PROXIES says.
        is_local = not self._has_proxies and is_from_this_machine(request.environ)
        return Access.ACTIONS if is_local else Access.FAILURES

    def check(self) -> None:
        """Raise NotAllowed unless the current request may change the jobs of others."""
        if self.access() < Access.ACTIONS:
            raise NotAllowed(NO_OPERATOR if self._has_keys else NOT_LOCAL)


def is_from_this_machine(environ: Mapping[str, Any]) -> bool:
    """Whether a request comes directly from this machine, from a program or from a page of this service.

    A proxy that the service's own user has started, and that adds no headers and passes or sends `Host: localhost`,
    cannot be told from a program; where the system does not tell users (not Linux), no such proxy can.
    """
    host = environ.get("HTTP_HOST", "")
    return (
        _is_loopback(environ.get("REMOTE_ADDR", ""))
        and _LOCAL_HOST.fullmatch(host) is not None
        and not any(name.startswith(_FORWARDED) for name in environ)
        # A proxy has a user of its own, unless it was started by hand.
        and environ.get(PEER_USER, _unknown)() in (None, os.getuid())
        # nginx adds no header unless it is told to, but by default speaks HTTP/1.0, which no browser does.
        and environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        # Pages of other sites can send requests to this machine, too.
        and environ.get("HTTP_SEC_FETCH_SITE", "") in _OWN_SITE
        and environ.get("HTTP_ORIGIN", "") in ("", f"http://{host}", f"https://{host}")
    )


def _unknown() -> None:
    return None


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    # A dual-stack socket reports IPv4 addresses as IPv4-mapped ones.
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback
