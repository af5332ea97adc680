"""A batch, as `GET /batches/<id>` answers it and webhooks send it, and the results in it."""

from typing import Any

from shared.batches.models import Batch, BatchResult
from shared.jobs.answer import as_timestamp, shown_problem


def batch_answer(batch: Batch) -> dict[str, Any]:
    """Return the state of a batch in JSON's types."""
    moments = {"opened": batch.opened_ms, "closed": batch.closed_ms, "finished": batch.finished_ms}
    return {
        "id": batch.id,
        "status": batch.state,
        "counts": {"added": batch.added, "open": batch.added - sum(batch.ends.values()), **batch.ends},
        "times": {name: as_timestamp(ms) for name, ms in moments.items() if ms},
    }


def result_answer(found: BatchResult) -> dict[str, Any]:
    """Return the outcome of a picture in JSON's types."""
    body: dict[str, Any] = {
        "number": found.number,
        "name": found.name,
        "id": found.job_id,
        "status": found.status,
    }
    if found.result is not None:
        body["result"] = found.result
    if found.model is not None:
        body["model"] = dict(found.model)
    if found.problem is not None:
        body["problem"] = shown_problem(found.problem)
    return body
