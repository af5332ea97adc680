"""`POST /upload`: a picture in, its labels or its job out."""

from flask import Blueprint, Response, request

from api.answers import Answers
from api.intake import Intake
from api.preferences import Preferences, parse_preferences
from api.uploads import UploadLimits, read_upload
from api.waiters import Waiters
from shared.errors import TooManyWaiters

RETRY_AFTER_SECONDS = 2
NO_PLACE = "Too many requests wait for an answer. Try again, or send `Prefer: respond-async` and poll."


def upload_blueprint(
    intake: Intake, waiters: Waiters, answers: Answers, limits: UploadLimits, wait_seconds: float
) -> Blueprint:
    """Return the route; `wait_seconds` is how long a client waits that asked for nothing else."""
    blueprint = Blueprint("upload", __name__)

    @blueprint.post("/upload")
    def upload() -> Response:
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        seconds = _seconds_to_wait(preferences, wait_seconds)
        with waiters.place(wanted=seconds > 0) as may_wait:
            if seconds > 0 and not may_wait and preferences.wait_seconds is None:
                raise TooManyWaiters(NO_PLACE, RETRY_AFTER_SECONDS)
            accepted = intake.accept(read_upload(request, limits))
            if not may_wait:
                return answers.accepted(accepted, preferences if seconds == 0 else preferences.without_wait())
            job = waiters.wait(accepted.job_id, seconds)
        if job.state.terminal:
            return answers.labels(job, preferences)
        if preferences.wait_seconds is None:
            return answers.timed_out(job, preferences)
        return answers.open_job(job, preferences)

    return blueprint


def _seconds_to_wait(preferences: Preferences, default: float) -> float:
    if preferences.wait_seconds is not None:
        return preferences.wait_seconds
    return 0 if preferences.respond_async else default
