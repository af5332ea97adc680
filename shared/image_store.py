"""Where pictures wait between the upload and the worker: one narrow interface, two implementations."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

import fsspec

from shared.errors import ImageMissing

# Longer than any job may stay open; what a crash leaves behind goes then.
IMAGE_TTL_SECONDS = 24 * 3600
MISSING = "The picture of this job is no longer stored."


class ImageStore(Protocol):
    """Keeps the bytes of a picture under its job's id, or has the job's record carry them."""

    def put(self, job_id: str, data: bytes) -> bytes:
        """Keep `data`; return what the record is to carry of it, all or nothing. A second put replaces the first."""

    def get(self, job_id: str, carried: bytes) -> bytes:
        """Return the bytes, given what the record carries; raises ImageMissing when there are none."""

    def delete(self, job_id: str) -> None:
        """Forget the picture; one that is not there is no error. What a record carries goes with the job's end."""

    def sweep(self, max_age_seconds: float) -> None:
        """Forget pictures that are older, which a crash has left behind."""


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

    def sweep(self, max_age_seconds: float) -> None:
        """Do nothing: each picture's time to live ends by itself."""


class FsspecImageStore:
    """Pictures as files below any URL that fsspec can open (`file://`, `memory://`, `s3://`, …)."""

    def __init__(self, url: str) -> None:
        """Make the folder at `url`; raises what fsspec raises when the URL cannot be used."""
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._files.makedirs(self._root, exist_ok=True)

    def put(self, job_id: str, data: bytes) -> bytes:
        # A reader must never see half a picture, so the name appears when all bytes are there.
        part = self._path(job_id) + ".part"
        try:
            self._files.pipe_file(part, data)
            self._files.mv(part, self._path(job_id))
        except OSError:
            # A full disk must not keep the half that it took.
            with suppress(OSError):
                self._files.rm_file(part)
            raise
        return b""

    def get(self, job_id: str, carried: bytes) -> bytes:
        try:
            return bytes(self._files.cat_file(self._path(job_id)))
        except FileNotFoundError:
            raise ImageMissing(MISSING) from None

    def delete(self, job_id: str) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(job_id))

    def sweep(self, max_age_seconds: float) -> None:
        oldest = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        for path in self._files.ls(self._root, detail=False):
            # Another process may have deleted it since it was listed.
            with suppress(FileNotFoundError):
                if self._files.modified(path) < oldest:
                    self._files.rm_file(path)

    def _path(self, job_id: str) -> str:
        return f"{self._root}/{job_id}"


def open_image_store(url: str) -> ImageStore:
    """Return the store at `url`: `redis:` is the Redis of the records, anything else is fsspec's."""
    return RecordImageStore() if url == "redis:" else FsspecImageStore(url)
