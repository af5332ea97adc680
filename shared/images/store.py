"""Where pictures wait between the upload and the worker: one narrow interface, and Redis behind it."""

import logging
import os
from collections.abc import Callable
from typing import Protocol

from shared.errors import ImageMissing
from shared.images.history import StoreHistory
from shared.settings import SettingsError

log = logging.getLogger(__name__)

# Longer than any job may stay open; what a crash leaves behind goes then.
IMAGE_TTL_SECONDS = 24 * 3600
MISSING = "The picture of this job is no longer stored."
REDIS_URL = "redis:"
# What the API may take to store a picture: half of it for one write.
PATIENCE_SECONDS = 20.0


class ImageStoreAway(OSError):
    """The store does not answer, or refuses; the sentence is its own and for the log."""


class ImageRefused(OSError):
    """The store is there, but does not give, take or delete one picture; clients may read the sentence."""


class ImageStore(Protocol):
    """Keeps the bytes of a picture under its job's id, or has the job's record carry them.

    Every call is bounded in time. ImageStoreAway: the store itself does not answer, or refuses; no job is to blame.
    ImageRefused: the store is there, but this picture cannot be had, stored or deleted.
    """

    def put(self, job_id: str, data: bytes) -> bytes:
        """Keep `data`; return what the record is to carry of it, all or nothing. A second put replaces the first."""

    def get(self, job_id: str, carried: bytes) -> bytes:
        """Return the bytes, given what the record carries; ImageMissing: the store is there and has none."""

    def delete(self, job_id: str) -> None:
        """Forget the picture; one that is not there is no error. What a record carries goes with the job's end."""

    def sweep(self, max_age_seconds: float, is_open: Callable[[str], bool]) -> None:
        """Forget pictures that are older, which a crash has left behind; not bounded in time.

        Clocks may be wrong: what a job that `is_open` waits for is kept, however old it seems.
        """


class RecordImageStore:
    """Pictures in Redis: accepted, handed out and forgotten in one step with their job's record."""

    def put(self, job_id: str, data: bytes) -> bytes:
        return data

    def get(self, job_id: str, carried: bytes) -> bytes:
        if not carried:
            raise ImageMissing(MISSING)
        return carried

    def delete(self, job_id: str) -> None:
        """Do nothing: the end of the job has done it."""

    def sweep(self, max_age_seconds: float, is_open: Callable[[str], bool]) -> None:
        """Do nothing: each picture's time to live ends by itself."""


class PictureRemover(Protocol):
    """Deletes pictures, as an image store does."""

    def delete(self, job_id: str) -> None:
        """Forget the picture; one that is not there is no error."""


class RemoverOfProcess:
    """Deletes pictures from a store that each process opens for itself: none may be used in a forked child."""

    def __init__(self, open_store: Callable[[], ImageStore]) -> None:
        """Open the store in this process; raises as `open_image_store`."""
        self._open_store = open_store
        self._images, self._pid = open_store(), os.getpid()

    def delete(self, job_id: str) -> None:
        if self._pid != os.getpid():
            self._images, self._pid = self._open_store(), os.getpid()
        self._images.delete(job_id)


def forget_picture(images: PictureRemover, job_id: str) -> None:
    """Delete a picture that nobody needs any more, if the store lets it: else the sweep finds it."""
    try:
        images.delete(job_id)
    except OSError as error:
        log.warning("A picture could not be deleted: %s", error)


def open_image_store(
    url: str, history: StoreHistory, patience_seconds: float = PATIENCE_SECONDS, *, set_up: bool = False
) -> ImageStore:
    """Return the store at `url`: `redis:` is the Redis of the records, anything else is fsspec's.

    A call takes at most `patience_seconds`, reading or writing a picture half of it. A store that is new is set up
    if that is wanted. One that was set up before and does not answer is returned all the same, as it may come back.

    Raises SettingsError: there is none that can be used.
    """
    if url == REDIS_URL:
        return RecordImageStore()
    # Few need it, and it takes memory.
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    from shared.images.folder_store import FolderImageStore
    from shared.images.object_store import ObjectImageStore

    try:
        # A listing that is kept would hide what other processes have stored since.
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        kind = FolderImageStore if isinstance(files, LocalFileSystem) else ObjectImageStore
        return kind(files, root, history, patience_seconds, set_up=set_up)
    except (OSError, ImportError, ValueError) as error:
        raise SettingsError(f"IMAGE_STORE_URL: {error}") from error
