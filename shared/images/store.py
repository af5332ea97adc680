"""Storage for pictures between upload and worker: the interface, and pictures in Redis."""

import logging
import os
from collections.abc import Callable
from typing import Protocol

from shared.bounded_call import CallThreads, Helpers
from shared.errors import ImageMissing
from shared.images.history import StoreHistory
from shared.settings import SettingsError

log = logging.getLogger(__name__)

# Longer than any job may stay open; pictures left behind by a crash are deleted after it.
IMAGE_TTL_SECONDS = 24 * 3600
MISSING = "The picture of this job is no longer stored."
REDIS_URL = "redis:"
# Time limit for a store call of the API; one write gets half of it.
PATIENCE_SECONDS = 20.0


class ImageStoreAway(OSError):
    """The store is unavailable; the message comes from the store and is for the log only."""


class ImageRefused(OSError):
    """The store is available but cannot read, write or delete one picture; clients may see the message."""


class ImageStore(Protocol):
    """Stores pictures by job id, in a store of its own or in the job's record.

    Calls have a time limit, except `sweep`.

    Raises:
        ImageStoreAway: the store is unavailable, whatever the picture.
        ImageRefused: the store is available but cannot read, write or delete this picture.
    """

    def put(self, job_id: str, data: bytes) -> bytes:
        """Store `data`, replacing an earlier put; return the bytes for the job's record: all of `data`, or none."""

    def get(self, job_id: str, carried: bytes) -> bytes:
        """Return the picture; `carried` is what the job's record holds. ImageMissing: it is not in the store."""

    def delete(self, job_id: str) -> None:
        """Delete the picture, if it exists. Pictures in Redis are deleted by the scripts instead."""

    def sweep(self, max_age_seconds: float, is_needed: Callable[[str], bool]) -> None:
        """Delete older pictures, which a crash has left behind. This call has no time limit.

        Clocks may be wrong, so pictures that are needed (`is_needed`) stay, whatever their age: those of open jobs, and
        those of failed jobs that can be retried.
        """


class RecordImageStore:
    """Pictures in Redis: the scripts write, read and delete them together with the job's record."""

    def put(self, job_id: str, data: bytes) -> bytes:
        return data

    def get(self, job_id: str, carried: bytes) -> bytes:
        if not carried:
            raise ImageMissing(MISSING)
        return carried

    def delete(self, job_id: str) -> None:
        """Do nothing: the scripts delete the picture."""

    def sweep(self, max_age_seconds: float, is_needed: Callable[[str], bool]) -> None:
        """Do nothing: pictures expire in Redis."""


class PictureRemover(Protocol):
    """Deletes pictures, as an image store does."""

    def delete(self, job_id: str) -> None:
        """Delete the picture, if it exists."""


class RemoverOfProcess:
    """Deletes pictures; reopens the store after a fork, because an open store cannot be used in a child."""

    def __init__(self, open_store: Callable[[], ImageStore]) -> None:
        """Open the store in this process; raises as `open_image_store`."""
        self._open_store = open_store
        self._images, self._pid = open_store(), os.getpid()

    def delete(self, job_id: str) -> None:
        if self._pid != os.getpid():
            self._images, self._pid = self._open_store(), os.getpid()
        self._images.delete(job_id)


def forget_picture(images: PictureRemover, job_id: str) -> None:
    """Delete a picture that is no longer needed; if that fails, leave it to the sweep."""
    try:
        images.delete(job_id)
    except OSError as error:
        log.warning("A picture could not be deleted: %s", error)


def is_in_redis(url: str) -> bool:
    """Whether the store at `url` is the Redis with the job records."""
    return url == REDIS_URL


def open_image_store(
    url: str,
    history: StoreHistory,
    patience_seconds: float = PATIENCE_SECONDS,
    *,
    set_up: bool = False,
    threads: CallThreads | None = None,
) -> ImageStore:
    """Open the store at `url`: `redis:` is the Redis with the job records, every other URL is opened by fsspec.

    A call takes at most `patience_seconds`; reading or writing a picture takes at most half of that. With `set_up`, a
    new store is set up. A store that was set up before and is unavailable now is returned: it may become available.
    Calls of a file system run in `threads`, by default in Python's threads.

    Raises:
        SettingsError: the store cannot be used.
    """
    if is_in_redis(url):
        return RecordImageStore()
    # Imported only if used: it takes memory.
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    from shared.images.folder_store import FolderImageStore
    from shared.images.object_store import ObjectImageStore

    try:
        # A cached listing would hide what other processes have stored since.
        threads = threads or Helpers()
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False, loop=threads.loop)
        kind = FolderImageStore if isinstance(files, LocalFileSystem) else ObjectImageStore
        return kind(files, root, history, patience_seconds, threads, set_up=set_up)
    except (OSError, ImportError, ValueError) as error:
        raise SettingsError(f"IMAGE_STORE_URL: {error}") from error
