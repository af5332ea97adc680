"""The file beside an incomplete output, from which a later run learns what was sent."""

import json
import os
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from topthree_client.file_answers import Wanted


@dataclass
class SentBatch:
    """A batch of an earlier run: its jobs with their files, and the requests whose answers were not noted."""

    id: str
    jobs: dict[str, str] = field(default_factory=dict)
    unanswered: list[list[str]] = field(default_factory=list)


class DamagedResume(ValueError):
    """The file was not written by this program, or was changed since; the message says where, and what to do."""


class ResumeFile:
    """Notes what is sent, line by line; thread-safe. It is removed when every picture has its answer.

    The first line is a salt: with it, pictures that are sent again join their first jobs. Each further line is a JSON
    object: a batch, the files of a request before it is sent, or the jobs in the answer to it. So a run that is killed
    at any moment has noted every request that the service may have received.
    """

    def __init__(self, out: Path | None) -> None:
        """`out` is the output; None notes nothing.

        Raises:
            OSError: the file cannot be read or written.
            DamagedResume: it has lines that this program did not write.
        """
        self._path = out.with_name(out.name + ".resume") if out else None
        self._lock = Lock()
        self._requests = 0
        self._lines: list[dict[str, Any]] = []
        self.salt = self._read() or self._begin()

    def batches(self, wanted: Wanted, files: Collection[str]) -> list[SentBatch]:
        """Return the batches that earlier runs sent for the same labels, with what concerns these files.

        Files that have changed since are left out.
        """
        by_path = {_absolute(file): file for file in files}
        batches: list[SentBatch] = []
        requests: dict[int, list[str | None]] = {}
        batch: SentBatch | None = None
        for line in self._lines:
            if "batch" in line:
                batch = SentBatch(line["batch"]) if Wanted(line["top"], line["min_confidence"]) == wanted else None
                batches += [batch] if batch else []
                requests = {}
            elif batch and "files" in line:
                requests[line["request"]] = [_unchanged(by_path, *each) for each in line["files"]]
            elif batch and (sent := requests.pop(line["request"], None)):
                batch.jobs |= {job: file for file, job in zip(sent, line["jobs"], strict=False) if file and job}
        if batch:
            batch.unanswered = [[file for file in sent if file] for sent in requests.values() if all(sent)]
        return batches

    def has_batches(self, wanted: Wanted) -> bool:
        """Whether an earlier run has sent a batch for the same labels."""
        return bool(self.batches(wanted, ()))

    def note_batch(self, batch_id: str, wanted: Wanted) -> None:
        """Note a new batch; the requests that are noted from now on belong to it."""
        self._append({"batch": batch_id, "top": wanted.top, "min_confidence": wanted.min_confidence})

    def note_request(self, files: Sequence[str]) -> int:
        """Note the files of a request that will be sent; return its number."""
        with self._lock:
            self._requests += 1
            number = self._requests
        self._append({"request": number, "files": [[file, _stamp(file)] for file in files]})
        return number

    def note_jobs(self, request: int, jobs: Sequence[str | None]) -> None:
        """Note the jobs of a request's files; None is a picture that was not accepted."""
        self._append({"request": request, "jobs": jobs})

    def remove(self) -> None:
        """Delete the file: every picture has its answer."""
        if self._path:
            self._path.unlink(missing_ok=True)

    def _append(self, line: dict[str, Any]) -> None:
        if self._path:
            with self._lock, self._path.open("ab") as file:
                file.write(json.dumps(line).encode() + b"\n")

    def _read(self) -> str:
        """Read the lines, drop what a killed run has not written to its end, and return the salt, "" for none."""
        if not self._path or not self._path.exists():
            return ""
        data = self._path.read_bytes()
        salt, *lines = data.splitlines(keepends=True) or [b""]
        end = len(salt)
        for number, line in enumerate(lines, start=2):
            if not line.endswith(b"\n"):
                break
            given = _parsed(line)
            if given is None:
                raise DamagedResume(
                    f"line {number} of {self._path} is damaged. Delete this file and run the same command: what has no "
                    "answer yet is sent again"
                )
            self._lines.append(given)
            self._requests = max(self._requests, given.get("request", 0))
            end += len(line)
        if end < len(data):
            os.truncate(self._path, end)
        return salt.decode("ascii", "replace").strip() if salt.endswith(b"\n") else ""

    def _begin(self) -> str:
        salt = secrets.token_hex(16)
        if self._path:
            self._path.write_text(salt + "\n", "ascii")
        return salt


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line; None if it is none that this program writes."""
    try:
        given = json.loads(line)
    except ValueError:
        return None
    match given:
        case {"batch": str(), "top": int(), "min_confidence": int() | float()}:
            known = True
        case {"request": int(), "files": list(files)}:
            known = all(isinstance(each, list) and len(each) == 2 and isinstance(each[0], str) for each in files)
        case {"request": int(), "jobs": list(jobs)}:
            known = all(job is None or isinstance(job, str) for job in jobs)
        case _:
            known = False
    return given if known else None


def _unchanged(by_path: dict[str, str], file: str, stamp: str | None) -> str | None:
    """Return the file as this run names it; None if it is not wanted or has changed."""
    named = by_path.get(_absolute(file))
    return named if named is not None and stamp is not None and _stamp(named) == stamp else None


def _stamp(file: str) -> str | None:
    """Return what changes when a file is written; None if there is no such file."""
    try:
        found = os.stat(file)  # noqa: PTH116 - faster than a Path, and there may be many
    except OSError:
        return None
    return f"{found.st_mtime_ns}-{found.st_size}"


def _absolute(file: str) -> str:
    return os.path.abspath(file)  # noqa: PTH100 - as `find_pictures`
