"""What the contract says of the routes of batches: their parameters, bodies and answers."""

from api.batch_form import MOST_BYTES, MOST_PICTURES
from api.batch_results import CSV, NDJSON
from api.contract.batch_schemas import AddedPictures, BatchRecord
from api.contract.examples import BATCH_LINE, COMPLETED_BATCH, OPEN_BATCH, QUEUED_JOB
from api.contract.operation import Answer, named
from api.picture_body import FIELD
from api.uploads import DEFAULT_TOP
from shared.images.formats import NAMES
from shared.jobs.admission import MAX_TOP
from shared.settings import MEBIBYTE
from shared.webhook_targets import MAX_URL_LENGTH

MAX_DIGITS = 9
BATCH_ID = {
    "name": "batch_id",
    "in": "path",
    "required": True,
    "description": "The id from the answer to `POST /batches`: 32 hexadecimal digits.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "example": OPEN_BATCH["id"],
}
AFTER = {
    "name": "after",
    "in": "query",
    "description": "Only the results after the one with this `number`. The default is 0: all.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1, "default": 0},
}
OPTIONS = {
    "required": False,
    "description": "What holds for every picture, and where the batch's end is sent to.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "top": {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP},
                    "min_confidence": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
                    "webhook": {"type": "string", "format": "uri", "maxLength": MAX_URL_LENGTH},
                },
                "additionalProperties": False,
            },
            "examples": named({"top": 3}),
        }
    },
}
CLOSING = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"status": {"type": "string", "enum": ["closed"]}},
                "required": ["status"],
            },
            "examples": named({"status": "closed"}),
        }
    },
}
IMAGES = {
    "required": True,
    "description": (
        f"A form with up to {MOST_PICTURES} pictures, each as a file in a field `{FIELD}`; up to "
        f"{MOST_BYTES // MEBIBYTE} MiB in all. Other fields are ignored."
    ),
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    FIELD: {
                        "type": "array",
                        "items": {"type": "string", "format": "binary", "description": f"{NAMES}."},
                        "minItems": 1,
                        "maxItems": MOST_PICTURES,
                    }
                },
                "required": [FIELD],
            },
            "encoding": {FIELD: {"contentType": "image/*"}},
        }
    },
}
NOT_STORED = ("Cache-Control",)
FOLLOWED = ("Preference-Applied", "Cache-Control", "Vary")
LINKED = {"batch_id": "$response.body#/id"}
OPENED = {
    201: Answer(
        "The batch is open: send pictures to its `Location` and `/images`.",
        BatchRecord,
        OPEN_BATCH,
        headers=("Location", *NOT_STORED),
        links={
            name: {"operationId": name, "parameters": LINKED}
            for name in ("add_images", "close_batch", "get_batch", "get_batch_results", "delete_batch")
        },
    )
}
ADDED = {
    200: Answer(
        "Each picture's job, or the problem why that picture was not accepted.",
        AddedPictures,
        {"images": [{"name": "traffic_light.png", "id": QUEUED_JOB["id"]}]},
        headers=NOT_STORED,
    )
}
CLOSED = {200: Answer("The batch is closed.", BatchRecord, COMPLETED_BATCH, headers=NOT_STORED)}
FOUND = {200: Answer("The state of the batch.", BatchRecord, COMPLETED_BATCH, headers=FOLLOWED)}
RESULTS = {
    200: Answer(
        "A line for each picture that has ended.",
        {"type": "string"},
        BATCH_LINE,
        media_types=(NDJSON, CSV),
        headers=(*NOT_STORED, "Vary"),
    )
}
DELETED = {204: Answer("Canceled or deleted.")}
