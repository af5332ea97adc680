"""Adds pictures to a batch: checks them, stores them and admits their jobs."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import cast

import redis

from api.admission_control import AdmissionControl
from api.batch_form import NamedPicture
from api.cached_results import CachedResults
from api.contract.batch_schemas import AddedPicture
from api.picture_batches import CANCELED
from api.problems import STATUS_OF, as_problem
from api.uploads import UploadLimits, check_picture
from shared.batches.calls import RepeatableRequest
from shared.batches.models import Batch, BatchState, NewPicture
from shared.batches.store import CLOSED, Added, Batches
from shared.errors import BatchClosed, NoPicture, NotReplicated, PictureTooLarge, TopThreeError, UnsupportedPicture
from shared.images.store import ImageStore, forget_picture
from shared.jobs.admission import Admission, JobRequest, new_job_id
from shared.jobs.events import JobEvents
from shared.log import current_request_id
from shared.tracing import current_traceparent


@dataclass(frozen=True)
class _Checked:
    """The pictures of a request: the answer for each and its digest, those that are valid, and their bytes."""

    answers: list[AddedPicture]
    digests: list[str]
    pictures: list[NewPicture]
    data: list[bytes]


class BatchIntake:
    """Adds pictures to batches."""

    def __init__(
        self,
        batches: Batches,
        images: ImageStore,
        cached_results: CachedResults,
        admission_control: AdmissionControl,
        limits: UploadLimits,
        events: JobEvents,
    ) -> None:
        """`events.accepted` is called for every picture that was admitted."""
        self._batches = batches
        self._images = images
        self._cached_results = cached_results
        self._admission_control = admission_control
        self._limits = limits
        self._events = events

    def add(
        self,
        batch_id: str,
        owner: str | None,
        key: str,
        reading: AbstractContextManager[list[NamedPicture]],
        charge: Callable[[int], None],
    ) -> list[AddedPicture]:
        """Add pictures and return the job or the problem of each; all valid ones are admitted, or none.

        The pictures are read by entering `reading`, only if they can be accepted. `charge` counts this many uploads
        towards the caller's quota, in addition to one. `key` is the idempotency key, "" for none.

        Raises:
            UnknownBatch, GoneBatch, BatchClosed: there is no such batch, or it takes no more pictures.
            ServerUnfit, QueueFull: there is no room.
            KeyReused: the key was used with a different request.
            NotReplicated: the pictures were accepted, but too few replicas have them.
            redis.RedisError, OSError: a store is unreachable. If only its reply was lost, the pictures were accepted.
            In addition, the exceptions of `reading` and `charge`.
        """
        batch = self._batches.get(batch_id, owner)
        if key:
            # A repeated request is answered even when the queue is full or the batch is closed.
            self._admission_control.check_server()
        else:
            _check_open(batch)
            self._admission_control.check(0)
        with reading as named:
            charge(len(named) - 1)
            checked = self._check(batch, named)
            request = _repeatable(key, checked)
            added = self._batches.earlier_answer(batch_id, request) if request else None
            if added is None or added.earlier is None:
                _check_open(batch)
                added = self._admit(batch, checked, request)
        if not added.replicated:
            raise NotReplicated
        return _parsed(added.earlier) if added.earlier is not None else checked.answers

    def _check(self, batch: Batch, named: Sequence[NamedPicture]) -> _Checked:
        checked = _Checked([], [], [], [])
        for each in named:
            try:
                picture = check_picture(each.body, self._limits)
            except (NoPicture, PictureTooLarge, UnsupportedPicture) as error:
                told = as_problem(STATUS_OF[type(error)], str(error))
                checked.answers.append({"name": each.name, "problem": told})
                checked.digests.append(hashlib.sha256(each.body.data).hexdigest())
                continue
            request = JobRequest(
                picture=picture,
                top=batch.top,
                owner=batch.owner,
                request_id=current_request_id(),
                traceparent=current_traceparent(),
                min_confidence=batch.min_confidence,
            )
            new = NewPicture(new_job_id(), each.name, request)
            checked.answers.append({"name": each.name, "id": new.job_id})
            checked.digests.append(picture.sha256)
            checked.pictures.append(new)
            checked.data.append(each.body.data)
            # Let other requests go on: a header takes up to 60 ms.
            time.sleep(0)
        return checked

    def _admit(self, batch: Batch, checked: _Checked, request: RepeatableRequest | None) -> Added:
        """Store the pictures and admit them."""
        known = self._cached_results.find_all([each.request.picture.sha256 for each in checked.pictures])
        pictures = [replace(new, known=result) for new, result in zip(checked.pictures, known, strict=True)]
        unknown = [(new.job_id, data) for new, data in zip(pictures, checked.data, strict=True) if not new.known]
        job_ids = [job_id for job_id, _ in unknown]
        try:
            in_redis = self._store(unknown)
        except (redis.RedisError, OSError):
            # Nothing has been admitted.
            self._forget(job_ids)
            raise
        try:
            added = self._batches.add(batch.id, pictures, request, in_redis=in_redis)
        except (TopThreeError, redis.exceptions.OutOfMemoryError):
            self._forget(job_ids)
            raise
        if added.earlier is not None:
            self._forget(job_ids)
        else:
            for new in pictures:
                self._events.accepted(Admission(new.job_id, 1, joined=False, known=new.known is not None))
        return added

    def _store(self, pictures: Sequence[tuple[str, bytes]]) -> bool:
        """Store the pictures; return whether they are in Redis."""
        carried = [(job_id, self._images.put(job_id, data)) for job_id, data in pictures]
        in_redis = [(job_id, data) for job_id, data in carried if data]
        self._batches.stage(in_redis)
        return bool(in_redis)

    def _forget(self, job_ids: Sequence[str]) -> None:
        """Delete pictures that were not admitted; if that fails, they expire, or the sweep deletes them."""
        with suppress(redis.RedisError):
            self._batches.unstage(job_ids)
        for job_id in job_ids:
            forget_picture(self._images, job_id)


def _check_open(batch: Batch) -> None:
    if batch.state is not BatchState.OPEN:
        raise BatchClosed(CANCELED if batch.state is BatchState.CANCELED else CLOSED)


def _repeatable(key: str, checked: _Checked) -> RepeatableRequest | None:
    if not key:
        return None
    wanted = json.dumps([[each["name"] for each in checked.answers], checked.digests])
    return RepeatableRequest(key, hashlib.sha256(wanted.encode()).hexdigest(), json.dumps(checked.answers))


def _parsed(answer: str) -> list[AddedPicture]:
    return cast(list[AddedPicture], json.loads(answer))
