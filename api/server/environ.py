"""Translates between h11's requests and responses and those of WSGI (PEP 3333)."""

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import h11

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

WITHOUT_PREFIX = ("CONTENT_TYPE", "CONTENT_LENGTH")


def base_environ(host: str, port: int) -> dict[str, Any]:
    """Return what is the same for all requests."""
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
    """Return the WSGI environment of `request`, without its body; `address` is the client's.

    Raises:
        ValueError: the request target is not a path.
    """
    path, query = _path_and_query(request.target.decode("latin-1"))
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


def _path_and_query(target: str) -> tuple[str, str]:
    if not target.startswith("/"):
        # A proxy's form: `http://host/path`.
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https"):
            raise ValueError("the request target is not a path")
        target = f"{parts.path or '/'}?{parts.query}"
    path, _, query = target.partition("?")
    return path, query
