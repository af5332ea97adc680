"""`/result/<id>`: asks for a job, waits for it, cancels or deletes it."""

from flask import Blueprint, Response, request

from api.answers import Answers
from api.intake import Intake
from api.preferences import parse_preferences
from api.waiters import Waiters
from shared.jobs import Jobs


def results_blueprint(jobs: Jobs, intake: Intake, waiters: Waiters, answers: Answers) -> Blueprint:
    """Return the routes of one job."""
    blueprint = Blueprint("results", __name__)

    @blueprint.get("/result/<job_id>")
    def get_result(job_id: str) -> Response:
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        job = jobs.get(job_id)
        seconds = 0 if job.state.terminal else preferences.wait_seconds or 0
        with waiters.place(wanted=seconds > 0) as may_wait:
            if may_wait:
                job = waiters.wait(job_id, seconds)
            elif seconds > 0:
                preferences = preferences.without_wait()
        if job.state.terminal:
            return answers.record(job, preferences)
        return answers.open_job(job, preferences)

    @blueprint.delete("/result/<job_id>")
    def delete_result(job_id: str) -> Response:
        intake.cancel(job_id)
        return Response(status=204)

    return blueprint
