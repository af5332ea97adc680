"""The web server: gevent's green threads and h11's HTTP around any WSGI application.

The rest of the API uses only `WebServer(app, services).serve(on_stop)`, after `gevent.monkey.patch_all()`
(api/__main__.py).
"""

from api.server.web_server import WebServer

__all__ = ["WebServer"]
