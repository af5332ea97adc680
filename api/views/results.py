"""`/result/<id>`: asks for a job, waits for it, cancels or deletes it."""

from flask import Blueprint, Response, request

from api.auth import required_owner
from api.contract.examples import FINISHED_JOB, QUEUED_JOB
from api.contract.headers import ABOUT_A_JOB, PREFER
from api.contract.operation import Answer, operation
from api.contract.problems import BEFORE_JOBS
from api.contract.schemas import JobRecord, OpenJob
from api.job_submission import JobSubmission
from api.preferences import parse_preferences
from api.responses import JobResponses
from api.waiters import Waiters

JOB_ID = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "description": "As in the answer to the upload.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "example": QUEUED_JOB["id"],
}
GET_ANSWERS = {
    200: Answer("The job has ended, well or not.", JobRecord, FINISHED_JOB, headers=ABOUT_A_JOB),
    202: Answer("The job goes on.", OpenJob, QUEUED_JOB, headers=(*ABOUT_A_JOB, "Retry-After")),
}
DELETE_ANSWERS = {204: Answer("An open job is canceled, one that has ended is forgotten.")}


def results_blueprint(submission: JobSubmission, waiters: Waiters, responses: JobResponses) -> Blueprint:
    """Return the routes of one job."""
    blueprint = Blueprint("results", __name__)

    @blueprint.get("/result/<job_id>")
    @operation("pictures", GET_ANSWERS, problems=(*BEFORE_JOBS, 404, 410), parameters=(JOB_ID, PREFER))
    def get_result(job_id: str) -> Response:
        """Ask for a job.

        With `Prefer: wait=N` the answer comes when the job has ended, or after N seconds.
        """
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        seconds = preferences.wait_seconds or 0
        with waiters.slot(wanted=seconds > 0) as may_wait:
            job = waiters.wait(job_id, seconds if may_wait else 0, required_owner())
        if job.state.terminal:
            return responses.record(job, preferences)
        if not may_wait:
            preferences = preferences.without_wait() if seconds else preferences
        return responses.open_job(job, preferences)

    @blueprint.delete("/result/<job_id>")
    @operation("pictures", DELETE_ANSWERS, problems=(*BEFORE_JOBS, 404, 410), parameters=(JOB_ID,))
    def delete_result(job_id: str) -> Response:
        """Cancel a job, or forget its result.

        A canceled job can still be asked for: it has ended, as `canceled`. A result that was deleted is gone.
        """
        submission.cancel(job_id, required_owner())
        response = Response(status=204)
        # An answer without a body has no type.
        del response.headers["Content-Type"]
        return response

    return blueprint
