"""`/status`: what an operator wants to see, as a page and as JSON; retries and cancels jobs for operators."""

from pathlib import Path

from flask import Blueprint, Response, jsonify

from api.contract.examples import RETRIED_JOB, STATUS
from api.contract.headers import ABOUT_A_JOB
from api.contract.operation import Answer, operation
from api.contract.problems import BEFORE_JOBS
from api.contract.schemas import OpenJob
from api.contract.status_schemas import ServiceStatus
from api.job_submission import JobSubmission
from api.operators import Operators
from api.page_files import PageFiles, read_files
from api.picture_jobs import PictureJobs
from api.responses import JobResponses
from api.service_status import StatusReader
from api.views.results import JOB_ID
from shared.log import current_request_id

FOLDER = Path(__file__).parents[1] / "status_page"
PAGE_ANSWERS = {
    200: Answer("The page.", {"type": "string"}, media_types=("text/html",), headers=("ETag",)),
    304: Answer("The client already has this page."),
}
STATUS_ANSWERS = {200: Answer("The state of the service.", ServiceStatus, STATUS, headers=("Cache-Control",))}
RETRY_ANSWERS = {
    202: Answer(
        "The new job, or that of an earlier retry. Its `Location` can be read by its owner.",
        OpenJob,
        RETRIED_JOB,
        headers=(*ABOUT_A_JOB, "Retry-After"),
    )
}
CANCEL_ANSWERS = {204: Answer("Canceled, or it had ended before.")}


def status_blueprint(
    reader: StatusReader,
    operators: Operators,
    submission: JobSubmission,
    picture_jobs: PictureJobs,
    responses: JobResponses,
) -> Blueprint:
    """Return the routes of the status."""
    files = PageFiles(read_files(FOLDER))
    blueprint = Blueprint("status", __name__)

    @blueprint.get("/status")
    @operation("operations", PAGE_ANSWERS)
    def get_status_page() -> Response:
        """Get the state of the service as a page that keeps itself up to date."""
        return files.index()

    @blueprint.get("/page/status/<name>")
    def file(name: str) -> Response:
        return files.file(name)

    @blueprint.get("/status.json")
    @operation("operations", STATUS_ANSWERS, problems=BEFORE_JOBS)
    def get_status() -> Response:
        """Get the state of the service: jobs, workers, throughput, failures.

        Everybody gets the numbers. Without keys, everybody also gets the reasons of the last failures. Ids, details
        and owners of jobs are for operators: the keys named in `OPERATORS` or, without keys, requests from the
        service's own machine. While Redis does not answer, the answer is 503 with the reason.
        """
        response = jsonify(reader.read(operators.access()))
        response.headers["Cache-Control"] = "no-store"
        return response

    @blueprint.post("/status/jobs/<job_id>/retry")
    @operation("operations", RETRY_ANSWERS, problems=(*BEFORE_JOBS, 403, 404, 409, 410, 413, 504), parameters=(JOB_ID,))
    def retry_job(job_id: str) -> Response:
        """Retry a failed job of anybody; for operators.

        Otherwise it is like `POST /result/{job_id}/retry`.
        """
        operators.check()
        return responses.open_job(submission.retry(job_id, None, current_request_id()))

    @blueprint.delete("/status/jobs/<job_id>")
    @operation("operations", CANCEL_ANSWERS, problems=(*BEFORE_JOBS, 403, 404, 410), parameters=(JOB_ID,))
    def cancel_job(job_id: str) -> Response:
        """Cancel an open job of anybody; for operators. The result of a job that has ended stays."""
        operators.check()
        picture_jobs.cancel_open(job_id)
        response = Response(status=204)
        # A response without a body has no content type.
        del response.headers["Content-Type"]
        return response

    return blueprint
