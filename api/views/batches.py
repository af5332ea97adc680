"""`/batches`: opens a batch, adds pictures, closes, follows and cancels it, and streams its results."""

from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain

from flask import Blueprint, Response, jsonify, request, url_for

from api.auth import required_owner
from api.batch_form import received_pictures
from api.batch_intake import BatchIntake
from api.batch_options import check_closing, read_batch_request
from api.batch_results import CSV, NDJSON, csv_lines, json_lines
from api.client_left import client_left
from api.compression import compressed_stream
from api.contract.batch_routes import (
    ADDED,
    AFTER,
    BATCH_ID,
    CLOSED,
    CLOSING,
    DELETED,
    FOUND,
    IMAGES,
    MAX_DIGITS,
    OPENED,
    OPTIONS,
    RESULTS,
)
from api.contract.batch_schemas import AddedPictures
from api.contract.headers import IDEMPOTENCY_KEY, PREFER
from api.contract.operation import operation
from api.contract.problems import BEFORE_JOBS
from api.picture_batches import PictureBatches
from api.preferences import parse_preferences
from api.quotas import count_uploads
from api.uploads import UploadLimits, read_idempotency_key
from api.webhook_rules import WebhookRules
from shared.batches.answer import batch_answer
from shared.batches.models import Batch
from shared.errors import BadRequest


def batches_blueprint(
    batches: PictureBatches, intake: BatchIntake, limits: UploadLimits, webhooks: WebhookRules
) -> Blueprint:
    """Return the routes of batches."""
    blueprint = Blueprint("batches", __name__, url_prefix="/batches")

    @blueprint.post("")
    @operation("batches", OPENED, problems=(*BEFORE_JOBS, 413, 429), request_body=OPTIONS)
    def open_batch() -> Response:
        """Open a batch, to which pictures can be added.

        It counts as one upload. A batch that is not closed is forgotten `BATCH_RESULT_TTL_SECONDS`, and at least two
        days, after pictures were last added.
        """
        batch = batches.open(read_batch_request(request, webhooks))
        response = _state(batch)
        response.status_code = HTTPStatus.CREATED
        response.headers["Location"] = url_for("batches.get_batch", batch_id=batch.id)
        return response

    @blueprint.post("/<batch_id>/images")
    @operation(
        "batches",
        ADDED,
        problems=(*BEFORE_JOBS, 404, 409, 410, 413, 415, 422, 429, 504),
        parameters=(BATCH_ID, IDEMPOTENCY_KEY),
        request_body=IMAGES,
    )
    def add_images(batch_id: str) -> Response:
        """Add pictures to a batch, each as a job of its own.

        All valid pictures are accepted or, for want of room, none: then the answer is 503. Each counts as an upload.
        Send an `Idempotency-Key`, and the same request again if its answer is lost.
        """
        reading = received_pictures(request, limits.max_image_bytes)
        added = intake.add(batch_id, required_owner(), read_idempotency_key(request), reading, count_uploads)
        body: AddedPictures = {"images": added}
        return _not_stored(jsonify(body))

    @blueprint.patch("/<batch_id>")
    @operation(
        "batches",
        CLOSED,
        problems=(*BEFORE_JOBS, 404, 409, 410, 413, 504),
        parameters=(BATCH_ID,),
        request_body=CLOSING,
    )
    def close_batch(batch_id: str) -> Response:
        """Close a batch: it takes no more pictures, and is completed when all have ended.

        To close it again changes nothing.
        """
        check_closing(request)
        return _state(batches.close(batch_id, required_owner()))

    @blueprint.get("/<batch_id>")
    @operation("batches", FOUND, problems=(*BEFORE_JOBS, 404, 410), parameters=(BATCH_ID, PREFER))
    def get_batch(batch_id: str) -> Response:
        """Get the state of a batch.

        With `Prefer: wait=N` the answer comes when the batch has ended, or after N seconds.
        """
        preferences = parse_preferences(request.headers.get("Prefer", ""))
        batch, applied = batches.follow(batch_id, preferences, required_owner(), client_left())
        response = _state(batch)
        response.headers["Vary"] = "Prefer"
        if applied.applied:
            response.headers["Preference-Applied"] = applied.applied
        return response

    @blueprint.get("/<batch_id>/results")
    @operation("batches", RESULTS, problems=(*BEFORE_JOBS, 404, 410), parameters=(BATCH_ID, AFTER))
    def get_batch_results(batch_id: str) -> Response:
        """Get the results of a batch in the order in which its pictures were added.

        They end before the first picture that has not ended. To go on there, ask again with `after` set to the `number`
        of the last line. `Accept: text/csv` gets CSV.
        """
        after = _read_after()
        batch, pages = batches.results(batch_id, required_owner(), after)
        # Read the first page now: an error can still be told.
        pages = chain([next(pages)], pages)
        media_type = request.accept_mimetypes.best_match([NDJSON, CSV], NDJSON)
        lines: Iterator[bytes]
        lines = json_lines(pages) if media_type == NDJSON else csv_lines(pages, batch.top, with_header=after == 0)
        response = _not_stored(compressed_stream(lines, media_type))
        response.vary.add("Accept")
        return response

    @blueprint.delete("/<batch_id>")
    @operation("batches", DELETED, problems=(*BEFORE_JOBS, 404), parameters=(BATCH_ID,))
    def delete_batch(batch_id: str) -> Response:
        """Cancel a batch, or delete one that is completed.

        Its open jobs are canceled; its pictures, results and the records of its jobs are deleted. A canceled batch can
        still be read; a deleted one answers 410.
        """
        batches.cancel(batch_id, required_owner())
        response = Response(status=204)
        # A response without a body has no content type.
        del response.headers["Content-Type"]
        return response

    return blueprint


def _state(batch: Batch) -> Response:
    return _not_stored(jsonify(batch_answer(batch)))


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _read_after() -> int:
    text = request.args.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise BadRequest(f"`after` must be the `number` of the last line: a whole number of up to {MAX_DIGITS} digits.")
    return int(text)
