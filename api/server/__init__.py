"""The web server: the rest of the API knows `WebServer(app, services).serve(on_stop)` and `most_requests`.

It is waitress with what it lacks here: problem answers, time to read a refusal, a receive deadline, a drain.
"""

from api.server.web_server import WebServer, most_requests

__all__ = ["WebServer", "most_requests"]
