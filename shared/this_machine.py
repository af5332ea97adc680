"""URLs of the service for programs on this machine, and requests to them."""

import urllib.request

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def url_of(host: str, port: int) -> str:
    """Return the URL of a listening address, with the brackets that IPv6 needs."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_url(host: str, port: int) -> str:
    """Return a URL under which this machine reaches what listens on the address."""
    return url_of(ANY_ADDRESS.get(host, host), port)


def fetch(url: str, timeout_seconds: float) -> bytes:
    """Return the body of a URL of this machine; no proxy is used, whatever the environment says.

    Raises:
        OSError, http.client.HTTPException: there is no answer, or its status is no success.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_seconds) as answer:
        return bytes(answer.read())
