"""Reads the JSON bodies of requests about batches."""

import json
from typing import Any

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from api.auth import current_owner
from api.picture_body import whole_body
from api.uploads import DEFAULT_TOP
from api.webhook_rules import WebhookRules
from shared.batches.models import BatchRequest
from shared.errors import BadRequest
from shared.jobs.admission import MAX_TOP
from shared.log import current_request_id
from shared.tracing import current_traceparent

MOST_BYTES = 16 * 1024
OPTIONS = ("top", "min_confidence", "webhook")
SHOWN_OPTIONS = "`top`, `min_confidence` and `webhook`"
MOST_SHOWN = 50
NO_OBJECT = "The body must be a JSON object."
NO_STATUS = 'A batch can only be closed: send `{"status": "closed"}`.'


def read_batch_request(request: Request, webhooks: WebhookRules) -> BatchRequest:
    """Return the options of a new batch; without a body, the defaults.

    Raises:
        BadRequest: the body is no JSON object, or an option is out of range.
        RequestEntityTooLarge: the body is too large.
    """
    given = _read_object(request)
    for unknown in given.keys() - OPTIONS:
        raise BadRequest(f"There is no option `{unknown[:MOST_SHOWN]}`: a batch has {SHOWN_OPTIONS}.")
    top, min_confidence, webhook = given.get("top", DEFAULT_TOP), given.get("min_confidence", 0), given.get("webhook")
    if type(top) is not int or not 1 <= top <= MAX_TOP:
        raise BadRequest(f"`top` must be a whole number from 1 to {MAX_TOP}.")
    if type(min_confidence) not in (int, float) or not 0 <= min_confidence <= 1:
        raise BadRequest("`min_confidence` must be a number from 0 to 1, such as 0.25.")
    if "webhook" in given:
        if not isinstance(webhook, str):
            raise BadRequest("`webhook` must be a URL.")
        webhooks.check(webhook)
    return BatchRequest(
        top=top,
        min_confidence=float(min_confidence),
        webhook=webhook or "",
        owner=current_owner(),
        request_id=current_request_id(),
        traceparent=current_traceparent(),
    )


def check_closing(request: Request) -> None:
    """Raise BadRequest unless the body asks to close the batch."""
    if _read_object(request).get("status") != "closed":
        raise BadRequest(NO_STATUS)


def _read_object(request: Request) -> dict[str, Any]:
    try:
        body = whole_body(request, MOST_BYTES)
    except RequestEntityTooLarge:
        raise RequestEntityTooLarge(f"The body is too large: at most {MOST_BYTES // 1024} KiB are accepted.") from None
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise BadRequest(NO_OBJECT) from None
    if not isinstance(given, dict):
        raise BadRequest(NO_OBJECT)
    return given
