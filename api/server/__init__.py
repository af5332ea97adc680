"""The web server: gevent's green threads and h11's HTTP around any WSGI application.

`WebServer(app, settings...).serve(on_stop)` is all that the rest of the API uses. It runs only after
`gevent.monkey.patch_all()` (api/__main__.py).
"""

from api.server.web_server import WebServer

__all__ = ["WebServer"]
