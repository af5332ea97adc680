"""`/metrics`: metrics for Prometheus."""

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from api.contract.operation import Answer, operation

ANSWERS = {
    200: Answer("The metrics.", {"type": "string"}, media_types=("text/plain",), headers=("Cache-Control",)),
}


def metrics_blueprint(registry: CollectorRegistry) -> Blueprint:
    """Return the metrics route."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    @operation("operations", ANSWERS, problems=(401,))
    def metrics() -> Response:
        """Get metrics in Prometheus' text format.

        While Redis is unreachable, only the metrics that the API process counts itself.
        """
        return Response(
            generate_latest(registry), headers={"Cache-Control": "no-store"}, content_type=CONTENT_TYPE_LATEST
        )

    return blueprint
