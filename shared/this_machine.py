"""Local URLs of the service, and requests to them."""

import urllib.request

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def url_of(host: str, port: int) -> str:
    """Return the URL of a listening address, with the brackets that IPv6 needs."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def local_url(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a server that listens on the address."""
    return url_of(ANY_ADDRESS.get(host, host), port)


def fetch(url: str, timeout_seconds: float) -> bytes:
    """Return the body of a local URL; proxies in the environment are ignored.

    Raises:
        OSError, http.client.HTTPException: there is no answer, or its status is an error.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_seconds) as answer:
        return bytes(answer.read())
