"""`/result/<id>`: reads a job, waits for it, cancels, deletes or retries it."""

from flask import Blueprint, Response, request

from api.auth import required_owner
from api.client_left import client_left
from api.contract.examples import FINISHED_JOB, QUEUED_JOB, RETRIED_JOB
from api.contract.headers import ABOUT_A_JOB, PREFER
from api.contract.operation import Answer, operation
from api.contract.problems import BEFORE_JOBS
from api.contract.schemas import JobRecord, OpenJob
from api.job_submission import Finished, JobSubmission
from api.picture_jobs import PictureJobs
from api.preferences import parse_preferences
from api.responses import JobResponses
from shared.log import current_request_id

JOB_ID = {
    "name": "job_id",
    "in": "path",
    "required": True,
    "description": "The id from the answer to the upload: 32 hexadecimal digits.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "example": QUEUED_JOB["id"],
}
GET_ANSWERS = {
    200: Answer("The job has ended, with or without success.", JobRecord, FINISHED_JOB, headers=ABOUT_A_JOB),
    202: Answer("The job has not ended.", OpenJob, QUEUED_JOB, headers=(*ABOUT_A_JOB, "Retry-After")),
}
RETRY_ANSWERS = {
    202: Answer(
        "The new job, or that of an earlier retry: poll its `Location`.",
        OpenJob,
        RETRIED_JOB,
        headers=(*ABOUT_A_JOB, "Retry-After"),
    )
}
DELETE_ANSWERS = {204: Answer("Canceled or deleted.")}
CANCEL_ANSWERS = {204: Answer("Canceled, by this request or an earlier one.")}


def results_blueprint(submission: JobSubmission, picture_jobs: PictureJobs, responses: JobResponses) -> Blueprint:
    """Return the routes of one job."""
    blueprint = Blueprint("results", __name__)

    @blueprint.get("/result/<job_id>")
    @operation("pictures", GET_ANSWERS, problems=(*BEFORE_JOBS, 404, 410), parameters=(JOB_ID, PREFER))
    def get_result(job_id: str) -> Response:
        """Get the state of a job.

        With `Prefer: wait=N` the answer comes when the job has ended, or after N seconds.
        """
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        found = submission.follow(job_id, preferences, required_owner(), client_left())
        return responses.record(found) if isinstance(found, Finished) else responses.open_job(found)

    @blueprint.delete("/result/<job_id>")
    @operation("pictures", DELETE_ANSWERS, problems=(*BEFORE_JOBS, 404, 410), parameters=(JOB_ID,))
    def delete_result(job_id: str) -> Response:
        """Cancel a job, or delete its result.

        A canceled job can still be read: it has ended, as `canceled`. A deleted result answers 410.
        """
        picture_jobs.cancel(job_id, required_owner())
        return _no_content()

    @blueprint.post("/result/<job_id>/cancel")
    @operation("pictures", CANCEL_ANSWERS, problems=(*BEFORE_JOBS, 404, 409, 410), parameters=(JOB_ID,))
    def cancel_result(job_id: str) -> Response:
        """Cancel a job that has not ended.

        Unlike `DELETE`, it never deletes a result: for a job that has ended, the answer is 409.
        """
        picture_jobs.cancel_only(job_id, required_owner())
        return _no_content()

    @blueprint.post("/result/<job_id>/retry")
    @operation("pictures", RETRY_ANSWERS, problems=(*BEFORE_JOBS, 404, 409, 410, 413, 429, 504), parameters=(JOB_ID,))
    def retry_result(job_id: str) -> Response:
        """Retry a job that failed by a fault of the service (status 500), as a new job.

        The picture of the failed job is kept for `FAILED_IMAGE_TTL_SECONDS`. Each job is retried once: a repeated
        request returns the same new job. The new job has no deadline.
        """
        return responses.open_job(submission.retry(job_id, required_owner(), current_request_id()))

    return blueprint


def _no_content() -> Response:
    response = Response(status=204)
    # A response without a body has no content type.
    del response.headers["Content-Type"]
    return response
