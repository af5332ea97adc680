"""What the web server tells the application beyond WSGI."""

from collections.abc import Callable
from typing import cast

from flask import request

from api.waiters import goes_on

# The WSGI environment's key of a callable: whether the client has closed the connection.
CLIENT_LEFT = "topthree.client_left"


def client_left() -> Callable[[], bool]:
    """Return a function that says whether the current request's client has left; other servers do not tell."""
    return cast(Callable[[], bool], request.environ.get(CLIENT_LEFT, goes_on))
