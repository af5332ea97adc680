"""Pictures as objects in any store that fsspec supports (`s3://`, `memory://`, …)."""

import asyncio
import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NoReturn

import fsspec
import redis

from shared.awake_timer import AwakeTimer
from shared.bounded_call import CallThreads, error_within
from shared.errors import ImageMissing
from shared.images.availability import StoreAvailability, describe
from shared.images.history import StoreHistory
from shared.images.store import MISSING, ImageRefused

log = logging.getLogger(__name__)

# Shares of the time limit of a call: for reading or writing a picture, and for small requests.
PICTURE_SHARE = 0.5
PROBE_SHARE = 0.2
# Time limit of the first probe, which also reads credentials and connects; no job waits for it.
OPEN_SECONDS = 10.0
# Longest pauses between probes of a store that does not answer. Coroutines are canceled; a hanging thread stays.
MOST_PAUSE_SECONDS = 4.0
MOST_PAUSE_WITH_THREADS_SECONDS = 300.0
# Names of objects that this service writes; the sweep deletes no others.
OURS = re.compile(r"(?P<job_id>[0-9a-f]{32})(\.part)?|probe-[0-9a-f]{16}")


class StoreCallError(Exception):
    """Wraps an error of the store; one that interrupts the wait for the store (a soft time limit) is not wrapped."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(describe(error))
        self.error = error


class ObjectImageStore:
    """Writes a picture in one call: readers see a whole object or none."""

    def __init__(
        self,
        files: fsspec.AbstractFileSystem,
        root: str,
        history: StoreHistory,
        patience_seconds: float,
        threads: CallThreads,
        *,
        set_up: bool,
    ) -> None:
        """Probe the store in the folder `root`; a call takes at most `patience_seconds`.

        A store that is unreachable, or was set up before, counts as unavailable if the probe fails.

        Raises:
            OSError: the store cannot be used, for example because of wrong credentials or a missing bucket.
        """
        self._files, self._root, self._history, self._set_up = files, root, history, set_up
        self._threads = threads
        self._picture_seconds = PICTURE_SHARE * patience_seconds
        self._probe_seconds = PROBE_SHARE * patience_seconds
        self._availability = StoreAvailability(
            self._probe_in_time,
            partial(self._probe_in_time, OPEN_SECONDS),
            MOST_PAUSE_SECONDS if files.async_impl else MOST_PAUSE_WITH_THREADS_SECONDS,
        )
        try:
            self._probe_in_time(OPEN_SECONDS)
        except Exception as error:
            if self._is_unusable(error):
                raise OSError(describe(error)) from error
            self._availability.mark_away(describe(error))

    def put(self, job_id: str, data: bytes) -> bytes:
        self._availability.check()
        try:
            self._write(self._path(job_id), data)
        except StoreCallError as failed:
            self._refuse(failed.error, "store")
        return b""

    def get(self, job_id: str, carried: bytes) -> bytes:
        self._availability.check()
        path = self._path(job_id)
        try:
            try:
                return self._read(path, self._picture_seconds)
            except StoreCallError as failed:
                if not isinstance(failed.error, FileNotFoundError):
                    raise
                # A store that becomes unavailable, or available again, may report any object as missing: probe it, read
                # once more, and probe it again.
                self._availability.confirm(failed.error)
            return self._read(path, self._probe_seconds)
        except StoreCallError as failed:
            if isinstance(failed.error, FileNotFoundError):
                self._availability.confirm(failed.error)
                raise ImageMissing(MISSING) from None
            self._refuse(failed.error, "return")

    def delete(self, job_id: str) -> None:
        self._availability.check()
        try:
            self._call(self._probe_seconds, "rm_file", self._path(job_id))
        except StoreCallError as failed:
            if not isinstance(failed.error, FileNotFoundError):
                self._refuse(failed.error, "delete")

    def sweep(self, max_age_seconds: float, is_needed: Callable[[str], bool]) -> None:
        self._availability.check()
        oldest = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        refused = []
        for path, listed in self._files.find(self._root, detail=True).items():
            ours = OURS.fullmatch(path.rpartition("/")[2])
            # Another process may have deleted the object since it was listed.
            with suppress(FileNotFoundError):
                # A listing of S3 contains the time; one request for each of ten thousand objects would take a minute.
                if (
                    ours
                    and (listed.get("LastModified") or self._files.modified(path)) < oldest
                    and not (ours["job_id"] and is_needed(ours["job_id"]))
                ):
                    try:
                        self._files.rm_file(path)
                    except PermissionError as error:
                        refused.append(f"{path}: {error}")
        if refused:
            log.warning("%d leftover pictures cannot be deleted, such as %s", len(refused), refused[0])

    def _write(self, path: str, data: bytes) -> None:
        self._call(self._picture_seconds, "pipe_file", path, data)

    def _read(self, path: str, seconds: float) -> bytes:
        return bytes(self._call(seconds, "cat_file", path))

    def _is_unusable(self, error: Exception) -> bool:
        return not (_is_unreachable(error) or self._was_set_up())

    def _was_set_up(self) -> bool:
        try:
            return self._history.knows(self._root)
        except redis.RedisError:
            # Unknown. Assume so: waiting for the store does no harm, refusing to start would.
            return True

    def _probe(self, call: Callable[..., Any]) -> None:
        # A new object for each probe: a lifecycle rule of the bucket could delete a permanent one.
        path, data = self._path(f"probe-{secrets.token_hex(8)}"), secrets.token_bytes(8)
        call("pipe_file", path, data)
        found = call("cat_file", path)
        call("rm_file", path)
        if found != data:
            raise OSError("it returned other bytes than were stored")

    def _probe_in_time(self, seconds: float | None = None) -> None:
        seconds = seconds or self._probe_seconds
        try:
            timer = AwakeTimer(seconds)
            self._probe(lambda name, *arguments: self._call(timer.left(), name, *arguments))
        except StoreCallError as failed:
            raise failed.error from None
        self._note_set_up()

    def _note_set_up(self) -> None:
        if self._set_up:
            # If Redis does not answer, the next probe or the next start records it.
            with suppress(redis.RedisError):
                self._history.add(self._root)

    def _call(self, seconds: float, name: str, *arguments: Any) -> Any:
        """Call a method of the file system with a time limit; StoreCallError if it fails."""
        if self._files.async_impl:
            # A canceled coroutine releases its connection; an abandoned thread would keep it.
            coroutine = getattr(self._files, f"_{name}")(*arguments)
            return _result_of(asyncio.run_coroutine_threadsafe(coroutine, self._files.loop), seconds)
        return self._call_in_thread(seconds, lambda: getattr(self._files, name)(*arguments))

    def _call_in_thread(self, seconds: float, call: Callable[[], Any]) -> Any:
        try:
            future = self._threads.submit(partial(self._report_late, call, time.monotonic() + seconds))
        except MemoryError as error:
            raise StoreCallError(error) from error
        return _result_of(future, seconds)

    def _report_late(self, call: Callable[[], Any], deadline: float) -> Any:
        try:
            return call()
        finally:
            if time.monotonic() > deadline:
                self._availability.answered()

    def _refuse(self, error: BaseException, verb: str) -> NoReturn:
        """Raise ImageStoreAway if the store is unavailable, else ImageRefused."""
        # A MemoryError comes from this process, not from the store.
        if not isinstance(error, MemoryError):
            self._availability.confirm(error)
        log.warning("The image store is available but cannot %s a picture: %s", verb, describe(error))
        raise ImageRefused(f"the image store cannot {verb} its picture ({_public_reason(error)})") from error

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _result_of(future: Any, seconds: float) -> Any:
    try:
        error = error_within(future, seconds)
    except BaseException:
        future.cancel()
        raise
    if error is not None:
        raise StoreCallError(error)
    return future.result()


def _is_unreachable(error: Exception) -> bool:
    # By name: botocore's connection errors do not derive from Python's, and botocore is installed for S3 only.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TimeoutError", "ConnectionError", "HTTPClientError"})


def _public_reason(error: BaseException) -> str:
    """Return the reason for clients, without names of files, hosts or buckets."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, PermissionError):
        return "access denied"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__
