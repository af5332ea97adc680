"""`/metrics`: what Prometheus asks for."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


def metrics_blueprint(registry: CollectorRegistry) -> Blueprint:
    """Return the route; while Redis is away it tells what the process itself knows."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def metrics() -> Response:
        return Response(
            generate_latest(registry), headers={"Cache-Control": "no-store"}, content_type=CONTENT_TYPE_LATEST
        )

    return blueprint
