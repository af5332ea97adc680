"""`/health`: liveness of the process, and readiness to accept pictures."""

from flask import Blueprint, Response, jsonify

from api.contract.examples import WORKER
from api.contract.operation import Answer, operation
from api.contract.status_schemas import Live, Ready
from shared.errors import ServerUnfit
from shared.jobs.backlog import BacklogReader
from shared.redis_server import RedisServer
from shared.version import VERSION
from shared.worker_registry import WorkerRegistry

READY_EXAMPLE = {
    "status": "ready",
    "workers": [WORKER],
    "jobs": {"open": 12, "running": 2, "failed": 0},
}


def health_blueprint(workers: WorkerRegistry, reader: BacklogReader, server: RedisServer) -> Blueprint:
    """Return the health routes."""
    blueprint = Blueprint("health", __name__, url_prefix="/health")

    @blueprint.get("/live")
    @operation("health", {200: Answer("The process answers.", Live, {"status": "live", "version": VERSION})})
    def live() -> Response:
        """Does the process answer, and which version is it?"""
        return jsonify(status="live", version=VERSION)

    @blueprint.get("/ready")
    @operation("health", {200: Answer("Redis can take jobs.", Ready, READY_EXAMPLE)}, problems=(503,))
    def ready() -> Response:
        """Can Redis take jobs, and if not, why?

        Also lists the ready workers and counts the jobs. Without workers, pictures are accepted and wait. While
        an image store outside Redis is unavailable, the answer stays 200, because results can be read; uploads get 503.
        """
        flaw = server.state().flaw
        if flaw:
            raise ServerUnfit(flaw)
        found, backlog = workers.ready(), reader.read()
        # Counts only: which jobs failed, and why, is for operators (`make failed`).
        counts = {"open": backlog.open_jobs, "running": backlog.running, "failed": backlog.failed}
        return jsonify(status="ready", workers=[record.to_dict() for record in found], jobs=counts)

    return blueprint
