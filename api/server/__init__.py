"""The web server; its interface is `WebServer(app, services).serve(on_stop)` and `most_requests`.

It extends waitress with problem responses, lingering close after refusals, a receive timeout and a graceful drain.
"""

from api.server.web_server import WebServer, most_requests

__all__ = ["WebServer", "most_requests"]
