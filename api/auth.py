"""API keys: who asks, what may be asked without one, and whose results may be read."""

import hmac
from collections.abc import Sequence
from typing import cast

from flask import Flask, Response, g, request

from api.problems import problem
from shared.api_keys import ApiKey, digest_of

# What tells nothing about anybody's pictures: the page and what it is made of, the contract, and the health, which
# load balancers ask for. Everything else wants a key, so that a route that is added later does too.
OPEN_PATHS = frozenset({"/", "/docs", "/openapi.json", "/health/live", "/health/ready"})
OPEN_FOLDERS = ("/docs/", "/page/")
CHALLENGE = 'Bearer realm="topthree"'
NO_KEY = "This service wants an API key: send `Authorization: Bearer <key>` or `X-API-Key: <key>`."
WRONG_KEY = "This API key is not known here."


class Unauthorized(Exception):
    """A request without a key that is known; `challenge` is the value for `WWW-Authenticate`."""

    def __init__(self, sentence: str, challenge: str) -> None:
        super().__init__(sentence)
        self.challenge = challenge


class Keys:
    """The keys that are known; without any, nobody needs one."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = keys

    def needed(self, method: str, path: str) -> bool:
        """Whether such a request wants a key. A browser asks with OPTIONS, and without a key, what it may send."""
        is_open = method == "OPTIONS" or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)
        return bool(self._keys) and not is_open

    def owner_of(self, authorization: str, x_api_key: str) -> str:
        """Return the name under which the key in one of the two headers is known; a bearer token goes first.

        Raises:
            Unauthorized: there is no key, or none that is known.
        """
        scheme, _, token = authorization.partition(" ")
        given = (token if scheme.lower() == "bearer" else x_api_key).strip()
        if not given:
            raise Unauthorized(NO_KEY, CHALLENGE)
        digest, owner = digest_of(given), ""
        # All of them, in the same time, whichever it is.
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                owner = key.name
        if not owner:
            raise Unauthorized(WRONG_KEY, f'{CHALLENGE}, error="invalid_token"')
        return owner


def current_owner() -> str:
    """Return the name of the key that the current request came with, "" where none is needed."""
    return str(g.get("owner", ""))


def required_owner() -> str | None:
    """Return whose jobs the current request may see; None for everybody's, where no key is needed."""
    return cast(str | None, g.get("owner"))


def register_keys(app: Flask, keys: Keys) -> None:
    """Ask for keys where they are needed."""

    @app.before_request
    def check() -> None:
        if keys.needed(request.method, request.path):
            g.owner = keys.owner_of(request.headers.get("Authorization", ""), request.headers.get("X-API-Key", ""))

    @app.errorhandler(Unauthorized)
    def refuse(error: Unauthorized) -> Response:
        headers = {"WWW-Authenticate": error.challenge, "Cache-Control": "no-store"}
        return problem(401, str(error), headers=headers)
