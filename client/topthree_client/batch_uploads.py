"""Adds pictures to a batch: packs them into requests, and repeats those until the service has room."""

import io
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from topthree_client.batch_answers import Added, BatchState
from topthree_client.batch_form import BatchForm, NamedBytes, batch_form, sendable
from topthree_client.connection import ServiceConnection
from topthree_client.errors import (
    BatchClosed,
    BatchGone,
    KeyRefused,
    PictureFailed,
    ServiceUnavailable,
    UploadInterrupted,
)
from topthree_client.packing import packed
from topthree_client.pictures import Content, Picture, content_of, opened, size_of
from topthree_client.responses import GONE, detail_of
from topthree_client.uploads import RequestSize

# After this many, a request is split. If the service had received it and only its answers were lost, its pictures are
# added once more; so it is not split at once.
MOST_INTERRUPTIONS = 2
# The request took too long, is too large, or has more pictures than the service takes at once.
TOO_MANY = (408, 413, 429)
# The service accepts no larger requests.
MEBIBYTES = 64
TOO_LARGE = f"The picture has more than {MEBIBYTES} MiB; a batch takes none that is so large."


@dataclass(frozen=True)
class _Named:
    """A picture with its name, or why it cannot be read."""

    name: str
    content: Content | OSError


class BatchUploads:
    """Adds pictures to one batch."""

    def __init__(self, connection: ServiceConnection, path: str) -> None:
        """`path` is that of the batch, such as "/batches/5d1f…"."""
        self._connection = connection
        self._path = path
        self._ended = 0
        self.request_size = RequestSize()

    def add(self, pictures: Iterable[Picture], names: Iterable[str] | None, salt: str) -> list[Added]:
        """Send pictures as `Batch.add` does."""
        _check_several(pictures, names)
        self._connection.check_address()
        added: list[Added] = []
        for group in packed(_named(pictures, names), _size_of, self.request_size):
            added += self._add(group, salt)
        return added

    def add_together(self, pictures: Sequence[Picture], names: Sequence[str], salt: str) -> list[Added]:
        """Send pictures as `Batch.add_together` does."""
        _check_several(pictures, names)
        self._connection.check_address()
        return self._add(list(_named(pictures, names)), salt)

    def _add(self, group: Sequence[_Named], salt: str) -> list[Added]:
        read = [_read(each) for each in group]
        added = iter(self._send([each for each in read if isinstance(each, NamedBytes)], salt))
        return [next(added) if isinstance(each, NamedBytes) else each for each in read]

    def _send(self, pictures: Sequence[NamedBytes], salt: str) -> list[Added]:
        """Send pictures in one request or, if that does not arrive or the service takes fewer, in several."""
        if not pictures:
            return []
        answer = self._upload(pictures, salt)
        if answer is None or (len(pictures) > 1 and answer.status_code in TOO_MANY):
            middle = len(pictures) // 2
            return self._send(pictures[:middle], salt) + self._send(pictures[middle:], salt)
        if answer.status_code in GONE:
            raise BatchGone(detail_of(answer))
        if answer.status_code == httpx.codes.CONFLICT:
            raise BatchClosed(detail_of(answer))
        if answer.status_code == httpx.codes.OK:
            return self._connection.read(answer, lambda body: _added(pictures, body["images"]))
        if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            return [Added(pictures[0].name, error=PictureFailed(answer.status_code, detail_of(answer)))]
        raise self._connection.unexpected(answer)

    def _upload(self, pictures: Sequence[NamedBytes], salt: str) -> httpx.Response | None:
        """Return the answer to one request, None if a request with several pictures is interrupted repeatedly."""
        request = _Request(batch_form(pictures, salt))
        upload = partial(
            self._connection.upload,
            f"{self._path}/images",
            request.opened,
            len(request.form.body),
            headers={"Content-Type": request.form.content_type, "Idempotency-Key": request.form.key},
            is_final=partial(_is_final, len(pictures)),
            most_interruptions=MOST_INTERRUPTIONS if len(pictures) > 1 else math.inf,
        )
        while True:
            try:
                answer = upload()
            except UploadInterrupted:
                self.request_size.note_interruption()
                return None
            except KeyRefused:
                raise
            except ServiceUnavailable:
                # A queue that is full of this batch's own pictures has room again when they end.
                if not self._has_gone_on():
                    raise
            else:
                if answer.status_code == httpx.codes.REQUEST_TIMEOUT:
                    self.request_size.note_interruption()
                elif answer.is_success:
                    self.request_size.note(len(request.form.body), request.seconds)
                return answer

    def _has_gone_on(self) -> bool:
        """Whether pictures of the batch have ended since the last call."""
        try:
            answer = self._connection.ask("GET", self._path, patience_seconds=0)
            ended = state_of(self._connection, answer).counts.ended
        except (BatchGone, ServiceUnavailable):
            return False
        before, self._ended = self._ended, ended
        return ended > before


class _Request:
    """The form of a request, which is opened for each attempt; `seconds` is the time since the last one began."""

    def __init__(self, form: BatchForm) -> None:
        self.form = form
        self._began = time.monotonic()

    def opened(self) -> io.BytesIO:
        self._began = time.monotonic()
        return io.BytesIO(self.form.body)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


def state_of(connection: ServiceConnection, answer: httpx.Response) -> BatchState:
    """Return the state of a batch in an answer; raises BatchGone, ServiceUnavailable if it is not in it."""
    if answer.status_code in GONE:
        raise BatchGone(detail_of(answer))
    if answer.status_code != httpx.codes.OK:
        raise connection.unexpected(answer)
    return connection.read(answer, BatchState.from_record)


def _check_several(pictures: Iterable[Picture], names: Iterable[str] | None) -> None:
    if isinstance(pictures, str | bytes):
        raise ValueError("add needs several pictures; put one into a list.")
    if isinstance(pictures, Sized) and isinstance(names, Sized) and len(pictures) != len(names):
        raise ValueError(f"There are {len(pictures)} pictures and {len(names)} names.")


def _named(pictures: Iterable[Picture], names: Iterable[str] | None) -> Iterator[_Named]:
    """Yield the pictures, each with its name."""
    given = iter(pictures)
    if names is None:
        for picture in given:
            yield _Named(str(picture) if isinstance(picture, str | os.PathLike) else "", _content_of(picture))
        return
    for name, picture in zip(names, given, strict=True):
        if not isinstance(name, str):
            raise ValueError(f"A name is a text, not {name!r}.")
        yield _Named(name, _content_of(picture))


def _content_of(picture: Picture) -> Content | OSError:
    try:
        return content_of(picture)
    except OSError as error:
        return error


def _size_of(picture: _Named) -> int:
    try:
        return 0 if isinstance(picture.content, OSError) else size_of(picture.content)
    except OSError:
        return 0


def _read(picture: _Named) -> NamedBytes | Added:
    if isinstance(picture.content, OSError):
        return Added(picture.name, error=picture.content)
    try:
        if size_of(picture.content) > MEBIBYTES * 1024 * 1024:
            return Added(picture.name, error=PictureFailed(413, TOO_LARGE))
        with opened(picture.content) as file:
            return NamedBytes(sendable(picture.name), file.read())
    except OSError as error:
        return Added(picture.name, error=error)


def _added(pictures: Sequence[NamedBytes], answers: Sequence[dict[str, Any]]) -> list[Added]:
    return [_added_picture(each.name, answer) for each, answer in zip(pictures, answers, strict=True)]


def _added_picture(name: str, answer: dict[str, Any]) -> Added:
    if "id" in answer:
        return Added(name, str(answer["id"]))
    problem = answer["problem"]
    return Added(name, error=PictureFailed(int(problem["status"]), str(problem["detail"])))


def _is_final(pictures: int, answer: httpx.Response) -> bool:
    """Whether the same request would never succeed: it arrives too slowly, or has more pictures than a quota allows."""
    if pictures == 1:
        return False
    return answer.status_code == 408 or (answer.status_code == 429 and pictures > _quota(answer))


def _quota(answer: httpx.Response) -> float:
    """Return how many pictures the quota allows at once; infinity if the answer does not say it."""
    header = answer.headers.get("X-RateLimit-Limit", "")
    return int(header) if header.isascii() and header.isdigit() else math.inf
