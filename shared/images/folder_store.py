"""Pictures as files of this machine, or of one that is mounted (`file://`)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shared.images.object_store import OURS, ObjectImageStore

MARKER = ".topthree-image-store"
MARKER_TEXT = b"Pictures wait here for a worker. Leave this file: without it the folder counts as not mounted.\n"


class FolderImageStore(ObjectImageStore):
    """A folder with a marker file, which tells the folder from the empty directory below a missing mount.

    The API sets a folder up once, or a worker that finds pictures of an older API in it; Redis remembers that. A folder
    that was set up before and has no marker is unavailable.
    """

    def _is_unusable(self, error: Exception) -> bool:
        # A worker waits until the API has set the folder up. Without Redis it is unknown whether the folder is new.
        return self._set_up and isinstance(error, OSError) and super()._is_unusable(error)

    def _probe(self, call: Callable[..., Any]) -> None:
        try:
            self._require_marker()
        except FileNotFoundError:
            if self._history.knows(self._root) or not (self._set_up or self._has_pictures()):
                raise
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(self._path(MARKER), MARKER_TEXT)
            self._history.add(self._root)

    def _has_pictures(self) -> bool:
        """Whether an API from before there were markers has put pictures there, as in an upgrade."""
        with suppress(FileNotFoundError):
            names = (path.rpartition("/")[2] for path in self._files.ls(self._root, detail=False))
            return any(OURS.fullmatch(name) for name in names)
        return False

    def _require_marker(self) -> None:
        # It is read and not only looked at: that may still work when nothing else does.
        try:
            self._files.cat_file(self._path(MARKER))
        except FileNotFoundError:
            text = f"{self._root} has no {MARKER}; is it mounted?"
            raise FileNotFoundError(text) from None

    def _write(self, path: str, data: bytes) -> None:
        self._call_in_thread(self._picture_seconds, lambda: self._write_file(path, data))

    def _write_file(self, path: str, data: bytes) -> None:
        self._require_marker()
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
        # If it was unmounted meanwhile, the picture lies beneath the mount.
        self._require_marker()
