"""Sees that the records of batches change only as they may, and agree with the jobs, between any two steps."""

from collections.abc import Collection, Iterable
from typing import Any

from shared.batches.models import ENDS
from shared.jobs.queue import Queue
from shared.jobs.redis_keys import BATCH_PREFIX, BATCHES_KEY
from tests.simulation.ledger import require

MAY_FOLLOW = {
    "open": {"open", "closed", "completed", "canceled"},
    "closed": {"closed", "completed", "canceled"},
    "completed": {"completed", "deleted"},
    "canceled": {"canceled"},
    "deleted": {"deleted"},
}


class BatchReferee:
    """Looks at a batch after each script that may have changed it, in the same step."""

    def __init__(self, server: Any) -> None:
        """`server` is a client of the server itself."""
        self._server = server
        # State, number of pictures, number of ends and time of the end, as last seen.
        self._seen: dict[str, tuple[str, int, int, str]] = {}
        self._has_failed_over = False

    def fail_over(self) -> None:
        """Take note that older records may be valid again."""
        self._seen.clear()
        self._has_failed_over = True

    def look(self, key: str) -> None:
        """Check the record under this key; it may have expired."""
        state, added, ended, finished_ms, *counts = self._server.hmget(
            key, "state", "added", "ended", "finished_ms", *ENDS
        )
        if state is None:
            return
        told = f"{key} is {state}, with {added} pictures, {ended} ends, which are {counts}, finished {finished_ms}"
        added, ended = int(added), int(ended)
        require(sum(int(count or 0) for count in counts) == ended <= added, told)
        is_over = state in ("completed", "deleted") or (state == "canceled" and ended == added)
        require(bool(finished_ms) == is_over, told)
        require(ended == added if is_over else state != "closed" or ended < added, told)
        new = (state, added, ended, finished_ms) if self._has_failed_over else ("open", 0, 0, None)
        before = self._seen.get(key, new)
        told += f"; it was {before}"
        require(state in MAY_FOLLOW[before[0]] and ended >= before[2], told)
        require(added == before[1] or (added > before[1] and before[0] == "open"), told)
        require(before[3] in (None, finished_ms), told)
        self._seen[key] = state, added, ended, finished_ms


class BatchAudit:
    """Compares the records of batches with their pictures, outcomes and open jobs."""

    def __init__(self, server: Any, queue: Queue) -> None:
        self._server = server
        self._queue = queue

    def run(self, batch_ids: Iterable[str], open_jobs: Collection[str], forgotten: Collection[str]) -> None:
        """Check these batches; `open_jobs` are the ids of all open jobs, `forgotten` of batches that have expired."""
        ids = list(batch_ids)
        with self._server.pipeline(transaction=False) as pipe:
            pipe.zrange(self._queue.key(BATCHES_KEY), 0, -1)
            for batch_id in ids:
                key = self._queue.key(BATCH_PREFIX + batch_id)
                pipe.hmget(key, "state", "added", "ended")
                pipe.hgetall(f"{key}:pictures")
                pipe.hkeys(f"{key}:outcomes")
            indexed, *parts = pipe.execute()
        unfinished = set()
        for batch_id, record, pictures, outcomes in zip(ids, parts[::3], parts[1::3], parts[2::3], strict=True):
            if record[0] and self._is_unfinished(batch_id, record, pictures, set(outcomes), open_jobs):
                unfinished.add(batch_id)
        strange = (unfinished ^ set(indexed)) - set(forgotten)
        require(not strange, f"batches that have not ended are {unfinished}, and {indexed}")

    def _is_unfinished(
        self,
        batch_id: str,
        record: tuple[str, str, str],
        pictures: dict[str, str],
        outcomes: set[str],
        open_jobs: Collection[str],
    ) -> bool:
        state, added, ended = record[0], int(record[1]), int(record[2])
        told = f"{batch_id} is {state}, with {added} pictures and {ended} ends: {pictures}, {outcomes}"
        if pictures or not added:
            ended_places = {place for place, entry in pictures.items() if entry.split('"')[1] not in open_jobs}
            require((len(pictures), len(ended_places)) == (added, ended), told)
            # Canceled batches keep no outcomes any more.
            require(outcomes <= ended_places if state == "canceled" else outcomes == ended_places, told)
        else:
            # They were forgotten, which comes last.
            require(state in ("canceled", "deleted") and ended == added and not outcomes, told)
        return state in ("open", "closed") or (state == "canceled" and ended < added)
