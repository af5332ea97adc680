"""`/health`: whether the process answers, and whether it can accept."""

from dataclasses import asdict

import redis
from flask import Blueprint, Response, jsonify

from shared.jobs import Jobs
from shared.workers import Workers


def health_blueprint(workers: Workers, jobs: Jobs) -> Blueprint:
    """Return the health routes."""
    blueprint = Blueprint("health", __name__, url_prefix="/health")

    @blueprint.get("/live")
    def live() -> Response:
        return jsonify(status="live")

    @blueprint.get("/ready")
    def ready() -> tuple[Response, int]:
        """200 when pictures can be accepted; ready workers stand in the body, not in the status."""
        try:
            found, counts = workers.ready(), jobs.counts()
        except redis.RedisError:
            return jsonify(status="unavailable", workers=[]), 503
        # Counts only: which jobs failed, and why, is for who runs the service (`make failed`).
        return jsonify(status="ready", workers=[asdict(record) for record in found], jobs=asdict(counts)), 200

    return blueprint
