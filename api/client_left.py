"""An extension of WSGI: whether the client of a request has left."""

from collections.abc import Callable
from typing import cast

from flask import request

from api.waiters import never

# Key in the WSGI environment of a function that returns whether the client has closed the connection.
CLIENT_LEFT = "topthree.client_left"


def client_left() -> Callable[[], bool]:
    """Return a function that says whether the client of the current request has left; with other servers, never."""
    return cast(Callable[[], bool], request.environ.get(CLIENT_LEFT, never))
