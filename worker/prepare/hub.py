"""Models from TF-Hub, downloaded with tensorflow_hub and cached."""

import hashlib
import http.client
import os
import queue
import shutil
import socket
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.prepare.errors import HubUnreachable, PrepareError
from worker.prepare.folder import locked
from worker.prepare.lazy_tensorflow import import_tensorflow_hub
from worker.prepare.local_folder import copy_saved_model, is_saved_model
from worker.prepare.progress import step
from worker.prepare.slug import slug

# Without a time limit, a network that drops packets would make the user wait forever.
SILENCE_SECONDS = 30.0
_CACHE_VARIABLE = "TFHUB_CACHE_DIR"
# tarfile's message for a truncated archive; its message for other content differs.
_ENDS_TOO_EARLY = "unexpected end of data"


class HubModel:
    """Source for a model with a TF-Hub handle."""

    labels_path: Path | None = None

    def __init__(self, handle: str, models_dir: Path, name: str | None = None) -> None:
        """`handle` is an http(s) URL; the default of `name` is derived from its path."""
        self.origin = handle
        self.name = name or slug(handle.partition("://")[2].partition("/")[2])
        self._own_cache = models_dir.absolute() / ".hub-cache"

    def put_saved_model(self, folder: Path) -> None:
        """Write the SavedModel to `folder`.

        Raises HubUnreachable: the answer is missing or incomplete.
        Raises PrepareError: the hub does not have the model, or the model is damaged.
        """
        downloaded = self._resolve()
        if not is_saved_model(downloaded):
            self.forget()
            raise PrepareError(f"{self.origin} is not a SavedModel: its archive has no saved_model.pb at the top")
        copy_saved_model(downloaded, folder)

    def forget(self) -> None:
        """Delete the download, but not from a cache of the user's, which other programs may use."""
        shutil.rmtree(_entry(self._own_cache, self.origin), ignore_errors=True)

    def _resolve(self) -> Path:
        """Return the model's folder in the cache; download the model if it is not cached."""
        users_cache = os.environ.get(_CACHE_VARIABLE)
        cache = Path(users_cache) if users_cache else self._own_cache
        entry = _entry(cache, self.origin)
        if not entry.exists():
            with _hub_errors(self.origin), step(f"looking for {self.origin}"):
                _probe(self.origin)
        hub = import_tensorflow_hub()
        with locked(cache / ".lock"), _hub_errors(self.origin), _hub_settings(cache):
            if not users_cache:
                # A killed download leaves this lock file; tensorflow_hub would wait for it for 20 minutes.
                entry.with_name(f"{entry.name}.lock").unlink(missing_ok=True)
            with step(f"downloading {self.origin}"):
                try:
                    return Path(hub.resolve(self.origin))
                except BaseException:
                    print()  # ends tensorflow_hub's progress line
                    raise


def _entry(cache: Path, handle: str) -> Path:
    """Return the folder in which tensorflow_hub caches a model."""
    return cache / hashlib.sha1(handle.encode()).hexdigest()  # noqa: S324 - tensorflow_hub's naming scheme


def _probe(handle: str) -> None:
    """Request the model and close the connection, to detect a missing network before the slow import of TensorFlow.

    Runs in a thread, because a socket's timeout restarts for each address of the host and excludes name resolution.
    """
    parts = urllib.parse.urlsplit(handle)
    query = urllib.parse.urlencode([*urllib.parse.parse_qsl(parts.query), ("tf-hub-format", "compressed")])
    address = urllib.parse.urlunsplit(parts._replace(query=query))
    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=SILENCE_SECONDS).close()  # noqa: S310 - the operator's handle
        except Exception as error:  # passed to the waiting thread
            outcome.put(error)
        else:
            outcome.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = outcome.get(timeout=SILENCE_SECONDS)
    except queue.Empty:
        raise TimeoutError from None
    if error:
        raise error


@contextmanager
def _hub_errors(handle: str) -> Iterator[None]:
    """Translate errors of urllib, tarfile and tensorflow_hub to HubUnreachable or PrepareError."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        answer = f"{handle} answered {error.code} {error.reason}"
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise HubUnreachable(answer) from error
        raise PrepareError(f"{answer}: check the handle") from error
    except http.client.InvalidURL as error:
        raise PrepareError(f"{handle} is not a URL: {error}") from error
    except TimeoutError as error:
        raise HubUnreachable(f"{handle} did not answer for {SILENCE_SECONDS:.0f} s") from error
    except urllib.error.URLError as error:
        raise HubUnreachable(f"{handle} cannot be reached: {error.reason}") from error
    except (ConnectionError, http.client.HTTPException, EOFError) as error:
        raise HubUnreachable(f"the download from {handle} was interrupted: {error or type(error).__name__}") from error
    except Exception as error:  # tarfile, zlib and TensorFlow's file layer raise their own errors
        # tensorflow_hub reports every unreadable archive as invalid, including a truncated one.
        if isinstance(error.__context__, tarfile.ReadError) and str(error.__context__) == _ENDS_TOO_EARLY:
            raise HubUnreachable(f"the download from {handle} was interrupted") from error
        raise PrepareError(f"{handle} cannot be downloaded: {error or type(error).__name__}") from error


@contextmanager
def _hub_settings(cache: Path) -> Iterator[None]:
    """Configure tensorflow_hub: it reads settings from the environment, and the timeout from the socket module."""
    settings = {_CACHE_VARIABLE: str(cache), "TFHUB_DOWNLOAD_PROGRESS": "1", "TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED"}
    before, timeout_before = dict(os.environ), socket.getdefaulttimeout()
    os.environ.update(settings)
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(timeout_before)
        for name in settings:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
