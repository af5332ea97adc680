"""Pictures as files in a local or mounted folder (`file://`)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shared.images.object_store import OURS, ObjectImageStore, StoreCallError

MARKER = ".topthree-image-store"
MARKER_TEXT = b"Pictures wait here for a worker. Leave this file: without it the folder counts as not mounted.\n"


class FolderImageStore(ObjectImageStore):
    """A folder with a marker file, which distinguishes it from the empty mount point of a missing mount.

    A folder is set up once, by the API or by a worker that finds pictures of an older API in it, and recorded in Redis.
    A folder that was set up before and has no marker is unavailable.
    """

    def _is_unusable(self, error: Exception) -> bool:
        # A worker waits until the API has set up the folder. Without Redis it is unknown whether the folder is new.
        return self._set_up and isinstance(error, OSError) and super()._is_unusable(error)

    def _probe(self, call: Callable[..., Any]) -> None:
        try:
            call("cat_file", self._path(MARKER))
        except StoreCallError as failed:
            if not isinstance(failed.error, FileNotFoundError):
                raise
            if self._history.knows(self._root) or not (self._set_up or self._has_pictures(call)):
                raise self._no_marker() from None
            call("makedirs", self._root, True)
            call("pipe_file", self._path(MARKER), MARKER_TEXT)
            self._history.add(self._root)

    def _has_pictures(self, call: Callable[..., Any]) -> bool:
        """Whether the folder has pictures of an older API, which wrote no marker (during an upgrade)."""
        try:
            names = (path.rpartition("/")[2] for path in call("ls", self._root, False))
        except StoreCallError as failed:
            if isinstance(failed.error, FileNotFoundError):
                return False
            raise
        return any(OURS.fullmatch(name) for name in names)

    def _no_marker(self) -> FileNotFoundError:
        return FileNotFoundError(f"{self._root} has no {MARKER}; is it mounted?")

    def _require_marker(self) -> None:
        # Read the file: checking that it exists may succeed even when reads fail.
        try:
            self._files.cat_file(self._path(MARKER))
        except FileNotFoundError:
            raise self._no_marker() from None

    def _write(self, path: str, data: bytes) -> None:
        self._call_in_thread(self._picture_seconds, lambda: self._write_file(path, data))

    def _write_file(self, path: str, data: bytes) -> None:
        self._require_marker()
        # Rename only after all bytes are written, so that readers never see a partial picture.
        part = path + ".part"
        try:
            self._files.pipe_file(part, data)
            self._files.mv(part, path)
        except OSError:
            # Delete the partial file, for example when the disk is full.
            with suppress(OSError):
                self._files.rm_file(part)
            raise
        # If the folder was unmounted during the write, the picture is in the mount point.
        self._require_marker()
