"""Where pictures wait between the upload and the worker: one narrow interface, its implementations."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from shared.errors import ImageMissing
from shared.settings import SettingsError

# Longer than any job may stay open; what a crash leaves behind goes then.
IMAGE_TTL_SECONDS = 24 * 3600
MISSING = "The picture of this job is no longer stored."


class ImageStoreAway(OSError):
    """The store does not answer, or refuses."""


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
    """Pictures as objects of any store that fsspec speaks to (`s3://`, `memory://`, …): all of one is seen or nothing.

    Whatever such a store raises is an ImageStoreAway, unless it says that a file is not there.
    """

    def __init__(self, files: fsspec.AbstractFileSystem, root: str) -> None:
        """Try the folder `root` out; raises ImageStoreAway: it cannot be used."""
        self._files, self._root = files, root
        with _one_kind_of_error():
            self._prepare()

    def _prepare(self) -> None:
        # Wrong credentials, or a bucket that is not there, are seen now. `makedirs` would make the bucket.
        probe = self._path(f"probe-{secrets.token_hex(8)}")
        self._files.pipe_file(probe, b"")
        self._files.rm_file(probe)

    def put(self, job_id: str, data: bytes) -> bytes:
        with _one_kind_of_error():
            self._write(self._path(job_id), data)
        return b""

    def _write(self, path: str, data: bytes) -> None:
        self._files.pipe_file(path, data)

    def get(self, job_id: str, carried: bytes) -> bytes:
        try:
            with _one_kind_of_error():
                return bytes(self._files.cat_file(self._path(job_id)))
        except FileNotFoundError:
            raise ImageMissing(MISSING) from None

    def delete(self, job_id: str) -> None:
        with _one_kind_of_error(), suppress(FileNotFoundError):
            self._files.rm_file(self._path(job_id))

    def sweep(self, max_age_seconds: float) -> None:
        oldest = datetime.now(UTC) - timedelta(seconds=max_age_seconds)
        with _one_kind_of_error():
            for path, listed in self._files.find(self._root, detail=True).items():
                # Another process may have deleted it since it was listed.
                with suppress(FileNotFoundError):
                    # A listing of S3 tells it; to ask for each of ten thousand would take a minute.
                    if (listed.get("LastModified") or self._files.modified(path)) < oldest:
                        self._files.rm_file(path)

    def _path(self, job_id: str) -> str:
        return f"{self._root}/{job_id}"


class FolderImageStore(FsspecImageStore):
    """Pictures as files of this machine, or of one that is mounted (`file://`)."""

    def _prepare(self) -> None:
        self._files.makedirs(self._root, exist_ok=True)

    def _write(self, path: str, data: bytes) -> None:
        # A reader must never see half a picture, so the name appears when all bytes are there.
        part = path + ".part"
        try:
            self._files.pipe_file(part, data)
            self._files.mv(part, path)
        except OSError:
            # A full disk must not keep the half that it took.
            with suppress(OSError):
                self._files.rm_file(part)
            raise


@contextmanager
def _one_kind_of_error() -> Iterator[None]:
    """Have what the libraries of stores raise be of one kind; a soft time limit, which a store took, too."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ImageStoreAway(str(error) or type(error).__name__) from error


def open_image_store(url: str) -> ImageStore:
    """Return the store at `url`: `redis:` is the Redis of the records, anything else is fsspec's.

    Raises SettingsError: there is none that can be used.
    """
    if url == "redis:":
        return RecordImageStore()
    try:
        # A listing that is kept would hide what other processes have stored since.
        files, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        return (FolderImageStore if isinstance(files, LocalFileSystem) else FsspecImageStore)(files, root)
    except (OSError, ImportError, ValueError) as error:
        raise SettingsError(f"IMAGE_STORE_URL: {error}") from error
