"""`X-Request-ID`: the client's if it is harmless, else a new one; in every answer, every log line and the job."""

import re
import secrets

from flask import Flask, Response, request

from shared.log import request_id

HEADER = "X-Request-ID"
# What generators of ids make (UUIDs, ULIDs, trace ids of clouds), and nothing that a log could take for more.
_HARMLESS = re.compile(r"[A-Za-z0-9._:=@/+-]{1,128}")


def choose_request_id(given: str) -> str:
    """Return the id a client gave if it may be repeated in logs and headers, else a new one."""
    return given if _HARMLESS.fullmatch(given) else secrets.token_hex(16)


def register_request_id(app: Flask) -> None:
    """Give every request of `app` its id; to be registered first, so that all that follows logs it."""

    @app.before_request
    def take() -> None:
        request_id.set(choose_request_id(request.headers.get(HEADER, "")))

    @app.after_request
    def tell(response: Response) -> Response:
        response.headers[HEADER] = request_id.get()
        return response
