"""The connection to one service: timeouts, retries, and which answers concern the service itself."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpx

from topthree_client.environment import DEFAULT_URL, KEY_VARIABLE, URL_VARIABLE
from topthree_client.errors import KeyRefused, ServiceUnavailable, UploadInterrupted
from topthree_client.limits import check_seconds
from topthree_client.loopback import is_loopback
from topthree_client.patience import FIRST_DELAY_SECONDS, LOG, MOST_DELAY_SECONDS, Patience, read_retry_after, spread
from topthree_client.responses import cause_of, detail_of, has_lines, is_from_topthree
from topthree_client.uploads import NOT_CONNECTED, UploadLimit

# A restart or a full queue is over within this time; a longer outage needs the operator.
PATIENCE_SECONDS = 300.0
# How long one request waits for a job or a batch to end.
WAIT_SECONDS = 20
# Timeouts for connecting, for each send and for the response. The service responds shortly after a wait, and at once to
# all other requests.
CONNECT_SECONDS = 5.0
SEND_SECONDS = 35.0
ANSWER_SECONDS = 15.0
# When the last byte of an upload is written, this much may still be in the system's send buffers. The timeout for the
# response allows for this speed.
MOST_BUFFERED_BYTES = 4 * 1024 * 1024
SLOWEST_BYTES_PER_SECOND = 32 * 1024
# Services wait for whole seconds: a wait of 2 s is none of 1 s, although some time has passed before its request.
ROUNDING_SECONDS = 0.01
TRY_AGAIN = (408, 429, 502, 503, 504)

T = TypeVar("T")


class ServiceConnection:
    """Sends requests to one service and retries them; thread-safe.

    All requests raise ServiceUnavailable if the service is unavailable, busy for too long, accepts no key, or is not
    topthree. An answer that is returned concerns the request.
    """

    def __init__(
        self,
        url: str | None,
        api_key: str | None,
        timeout_seconds: float | None,
        patience_seconds: float,
        transport: httpx.BaseTransport | None,
    ) -> None:
        """The arguments, and the exceptions, are those of `Client`."""
        url = (os.environ.get(URL_VARIABLE) or DEFAULT_URL) if url is None else url
        api_key = os.environ.get(KEY_VARIABLE) if api_key is None else api_key
        check_seconds("timeout_seconds", timeout_seconds)
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key contains invalid characters.")
        try:
            base = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is not a URL: {error}") from None
        if base.scheme not in ("http", "https") or not base.host:
            raise ValueError(f"{url!r} is not the URL of a service, such as {DEFAULT_URL}.")
        self.url = url
        self.timeout_seconds = math.inf if timeout_seconds is None else timeout_seconds
        self._patience_seconds = min(patience_seconds, self.timeout_seconds)
        self._uploads = UploadLimit()
        self._has_answered = False
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        try:
            if transport is None and is_loopback(base.host):
                # Without an explicit transport, httpx uses the proxy set in the environment.
                transport = httpx.HTTPTransport()
            self._proxied = transport is None and _has_proxy(base)
            self._http = httpx.Client(base_url=base, headers=headers, transport=transport)
        except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
            raise ValueError(f"The proxy or the certificates set in the environment cannot be used: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check_address(self) -> None:
        """Raise ServiceUnavailable if the service does not answer and has never answered this client.

        This is a separate request, because an upload may also fail because the connection is slow.
        """
        if self._has_answered:
            return
        try:
            self._http.get("/health/live", timeout=self._timeout(ANSWER_SECONDS))
        except httpx.RequestError as error:
            raise ServiceUnavailable(self._unreachable(error)) from None
        self._has_answered = True

    def ask(
        self, method: str, path: str, *, json: Mapping[str, Any] | None = None, patience_seconds: float | None = None
    ) -> httpx.Response:
        """Send a request that is answered at once; `patience_seconds` limits its retries instead of the client's."""
        send = partial(self._http.request, method, path, json=json, timeout=self._timeout(ANSWER_SECONDS))
        return self._retry(send, patience_seconds=patience_seconds)

    def follow(self, path: str, seconds: float, pause_seconds: float = FIRST_DELAY_SECONDS) -> Iterator[httpx.Response]:
        """Yield the answers of requests that wait for an end, until `seconds` are over; at least one.

        `pause_seconds` is the shortest pause after an answer for which the service did not wait.
        """
        until = time.monotonic() + seconds
        while True:
            wait_seconds = int(min(WAIT_SECONDS, max(0, until - time.monotonic() + ROUNDING_SECONDS)))
            answer = self._wait(path, wait_seconds)
            yield answer
            left_seconds = until - time.monotonic()
            if left_seconds <= 0:
                return
            if not wait_seconds or "wait=" not in answer.headers.get("Preference-Applied", ""):
                # The service did not wait: all of its slots were taken.
                retry_after = min(MOST_DELAY_SECONDS, read_retry_after(answer.headers.get("Retry-After", "")))
                time.sleep(min(left_seconds, max(pause_seconds, spread(retry_after, math.inf))))

    def upload(
        self,
        path: str,
        opened: Callable[[], BinaryIO],
        size: int,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        is_final: Callable[[httpx.Response], bool] = lambda _: False,
        most_interruptions: float = math.inf,
    ) -> httpx.Response:
        """Send the `size` bytes of a file, which `opened` opens for each attempt; not too many at a time.

        An answer that `is_final` is returned, even if requests with its status are retried otherwise. After
        `most_interruptions` of the connection, UploadInterrupted is raised.
        """

        def send() -> httpx.Response:
            with opened() as file:
                timeout = self._upload_timeout(size)
                return self._http.post(path, params=params, headers=headers, content=file, timeout=timeout)

        return self._retry(send, limit=self._uploads, is_final=is_final, most_interruptions=most_interruptions)

    def stream(self, path: str, params: Mapping[str, Any]) -> httpx.Response:
        """Return an answer of JSON Lines, whose body is not read yet; the caller closes it. Others are read."""

        def send() -> httpx.Response:
            request = self._http.build_request("GET", path, params=params, timeout=self._timeout(ANSWER_SECONDS))
            answer = self._http.send(request, stream=True)
            if not has_lines(answer):
                answer.read()
            return answer

        return self._retry(send)

    def pause(self, patience: Patience, error: httpx.RequestError) -> None:
        """Sleep after an answer that broke off; raises ServiceUnavailable if `patience` is over."""
        patience.pause(self._unreachable(error))

    def patience(self) -> Patience:
        """Return the patience for one request."""
        return Patience(self._patience_seconds)

    def log_note(self, answer: httpx.Response) -> None:
        """Log why an open job waits longer than usual, such as that no worker is running."""
        try:
            if note := answer.json().get("detail"):
                LOG.info("%s: %s", self.url, note)
        except (AttributeError, ValueError):
            return

    def read(self, answer: httpx.Response, read: Callable[[dict[str, Any]], T]) -> T:
        """Return the response's JSON as parsed by `read`; ServiceUnavailable if that fails."""
        try:
            return read(answer.json())
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self.unexpected(answer) from None

    def unexpected(self, answer: httpx.Response) -> ServiceUnavailable:
        """Return the exception for an answer that no topthree service gives to this request."""
        kind = KeyRefused if answer.status_code == 401 else ServiceUnavailable
        return kind(f"{self.url} answers {answer.status_code}: {detail_of(answer)}")

    def _wait(self, path: str, wait_seconds: int) -> httpx.Response:
        timeout = self._timeout(ANSWER_SECONDS, wait_seconds)
        return self._retry(partial(self._http.get, path, headers={"Prefer": f"wait={wait_seconds}"}, timeout=timeout))

    def _retry(
        self,
        send: Callable[[], httpx.Response],
        *,
        limit: UploadLimit | None = None,
        patience_seconds: float | None = None,
        is_final: Callable[[httpx.Response], bool] = lambda _: False,
        most_interruptions: float = math.inf,
    ) -> httpx.Response:
        """Send a request, retrying until the response is about the request and not about the service's state."""
        patience = Patience(self._patience_seconds if patience_seconds is None else patience_seconds)
        # The wait for an upload slot is outside of the attempt, so it does not count towards the limit.
        attempt = partial(patience.attempt, send)
        interruptions = 0
        while True:
            try:
                answer = limit.run(attempt) if limit else attempt()
            except httpx.RequestError as error:
                # If only the answer is late, the upload has arrived.
                interruptions += not isinstance(error, (*NOT_CONNECTED, httpx.ReadTimeout))
                if interruptions >= most_interruptions:
                    raise UploadInterrupted(self._unreachable(error)) from None
                self.pause(patience, error)
                continue
            self._has_answered = True
            if answer.status_code in TRY_AGAIN and not is_final(answer):
                retry_after = read_retry_after(answer.headers.get("Retry-After", ""))
                patience.pause(f"{self.url} answers {answer.status_code}: {detail_of(answer)}", retry_after)
                continue
            # These responses concern the service, not the picture.
            if answer.status_code in (401, 403, 405) or answer.is_redirect or not is_from_topthree(answer):
                raise self.unexpected(answer)
            return answer

    def _timeout(self, answer_seconds: float, wait_seconds: float = 0) -> httpx.Timeout:
        """Return the limits of a request whose response takes `answer_seconds`, after a wait that was asked for."""
        most = self.timeout_seconds
        answer_seconds = min(answer_seconds, most) + wait_seconds
        return httpx.Timeout(min(SEND_SECONDS, most), connect=min(CONNECT_SECONDS, most), read=answer_seconds)

    def _upload_timeout(self, size: int) -> httpx.Timeout:
        return self._timeout(SEND_SECONDS + min(size, MOST_BUFFERED_BYTES) / SLOWEST_BYTES_PER_SECOND)

    def _unreachable(self, error: httpx.RequestError) -> str:
        proxy = " through the proxy set in the environment" if self._proxied else ""
        return f"{self.url} cannot be reached{proxy}: {cause_of(error)}"


def _has_proxy(url: httpx.URL) -> bool:
    """Whether the environment names a proxy for the URL."""
    proxies = getproxies()
    return bool({url.scheme, "all"} & proxies.keys()) and not proxy_bypass(url.host)
