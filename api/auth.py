"""API keys: which routes need one, who owns it, and whose results a request may read."""

import hmac
from collections.abc import Sequence
from typing import cast

from flask import Flask, Response, g, request

from api.problems import problem
from shared.api_keys import ApiKey, digest_of

# Public routes: the pages, the contract, and health checks for load balancers. Every other route needs a key, including
# future ones.
OPEN_PATHS = frozenset({"/", "/status", "/docs", "/openapi.json", "/health/live", "/health/ready"})
OPEN_FOLDERS = ("/docs/", "/page/")
CHALLENGE = 'Bearer realm="topthree"'
NO_KEY = "This service requires an API key: send `Authorization: Bearer <key>` or `X-API-Key: <key>`."
WRONG_KEY = "This API key is not valid."


class Unauthorized(Exception):
    """The request has no valid key; `challenge` is the value of `WWW-Authenticate`."""

    def __init__(self, sentence: str, challenge: str) -> None:
        super().__init__(sentence)
        self.challenge = challenge


class Keys:
    """The valid keys; without any, no request needs one."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = keys

    def needed(self, method: str, path: str) -> bool:
        """Whether this request needs a key. OPTIONS needs none: browsers send CORS preflight requests without it."""
        is_open = method == "OPTIONS" or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)
        return bool(self._keys) and not is_open

    def owner_of(self, authorization: str, x_api_key: str) -> str:
        """Return the name of the key in one of the two headers; a bearer token takes precedence.

        Raises:
            Unauthorized: the key is missing or unknown.
        """
        scheme, _, token = authorization.partition(" ")
        given = (token if scheme.lower() == "bearer" else x_api_key).strip()
        if not given:
            raise Unauthorized(NO_KEY, CHALLENGE)
        digest, owner = digest_of(given), ""
        # Compare with every key, so that timing does not reveal which one matches.
        for key in self._keys:
            if hmac.compare_digest(key.sha256, digest):
                owner = key.name
        if not owner:
            raise Unauthorized(WRONG_KEY, f'{CHALLENGE}, error="invalid_token"')
        return owner


def current_owner() -> str:
    """Return the name of the current request's key, "" if none is needed."""
    return str(g.get("owner", ""))


def required_owner() -> str | None:
    """Return the owner whose jobs the current request may see; None for all jobs, if no key is needed."""
    return cast(str | None, g.get("owner"))


def register_keys(app: Flask, keys: Keys) -> None:
    """Check the API key of every request that needs one."""

    @app.before_request
    def check() -> None:
        if keys.needed(request.method, request.path):
            g.owner = keys.owner_of(request.headers.get("Authorization", ""), request.headers.get("X-API-Key", ""))

    @app.errorhandler(Unauthorized)
    def refuse(error: Unauthorized) -> Response:
        headers = {"WWW-Authenticate": error.challenge, "Cache-Control": "no-store"}
        return problem(401, str(error), headers=headers)
