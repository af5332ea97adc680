"""Translates between h11's requests and responses and those of WSGI (PEP 3333)."""

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import h11

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

WITHOUT_PREFIX = ("CONTENT_TYPE", "CONTENT_LENGTH")


def base_environ(host: str, port: int) -> dict[str, Any]:
    """Return the entries that are the same for all requests."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        # Reads end with the body, also without a length.
        "wsgi.input_terminated": True,
    }


def environ_of(request: h11.Request, base: dict[str, Any], address: str) -> "WSGIEnvironment":
    """Return the WSGI environment of `request`, without its body; `address` is the client's."""
    path, query = _path_and_query(request) or ("", "")
    environ = base | {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode('latin-1')}",
        "REMOTE_ADDR": address,
    }
    for name_bytes, value_bytes in request.headers:
        if b"_" in name_bytes:
            # It would be mistaken for the header with hyphens, which a proxy in front may have checked.
            continue
        name, value = name_bytes.decode("latin-1").upper().replace("-", "_"), value_bytes.decode("latin-1")
        key = name if name in WITHOUT_PREFIX else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def flaw_of(request: h11.Request) -> str:
    """Return why `request` must be refused although it could be parsed; "" if it is valid."""
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" in names and (b"content-length" in names or request.http_version < b"1.1"):
        # The end of the body would be ambiguous (RFC 9112, 6.1).
        return "Transfer-Encoding is not accepted with HTTP/1.0 or together with Content-Length."
    if _path_and_query(request) is None:
        return "The request target is not a path."
    return ""


def announces_body(request: h11.Request) -> bool:
    """Whether `request` has a body."""
    fields = dict(request.headers)
    return b"transfer-encoding" in fields or int(fields.get(b"content-length", b"0")) > 0


def _path_and_query(request: h11.Request) -> tuple[str, str] | None:
    target = request.target.decode("latin-1")
    if not target.startswith("/"):
        # The form for proxies: `http://host/path`.
        try:
            parts = urlsplit(target)
        except ValueError:
            return None
        if parts.scheme not in ("http", "https"):
            return None
        target = f"{parts.path or '/'}?{parts.query}"
    path, _, query = target.partition("?")
    return path, query
