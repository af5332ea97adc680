"""Classifies many files through a batch, so that the service goes on when this computer is switched off."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from topthree_client.batch import Batch
from topthree_client.batch_answers import Added
from topthree_client.begun_batches import BegunBatch, BegunBatches
from topthree_client.client import Client
from topthree_client.errors import BatchClosed, BatchGone, ServiceUnavailable, TopThreeError
from topthree_client.file_answers import Answer, Wanted, failed
from topthree_client.in_threads import in_threads
from topthree_client.inputs import Inputs
from topthree_client.packing import packed
from topthree_client.patience import LOG
from topthree_client.progress_bar import ProgressBar
from topthree_client.resume_file import ResumeFile

# More requests at a time would not make the service faster, but hold more pictures in memory.
MOST_REQUESTS = 4
# The service takes no more pictures in a batch.
MOST_IN_BATCH = 100_000
# How often files are sent again if the service has lost their batch.
MOST_TIMES = 10
# How often the service is asked for new results.
POLL_SECONDS = 2.0
# After this time without an end, it is looked whether a worker is running.
STALLED_SECONDS = 10.0


class BatchCanceled(TopThreeError):
    """Somebody has canceled the batch."""


class _OpenBatch:
    """A batch in progress: the files of its jobs that have no answer yet, and how many pictures have been added."""

    def __init__(self, batch: Batch, jobs: dict[str, str], added: int, *, is_open: bool) -> None:
        self.batch = batch
        self.jobs = jobs
        self.added = added
        self.is_open = is_open

    @property
    def room(self) -> int:
        """How many more pictures the batch takes."""
        return max(0, MOST_IN_BATCH - self.added) if self.is_open else 0

    def close(self) -> None:
        """Let it take no more pictures; if it is gone or canceled, its next reader learns that."""
        if self.is_open:
            self.is_open = False
            with suppress(BatchClosed, BatchGone):
                self.batch.close()


class _Stall:
    """Measures for how long no picture of a batch has ended."""

    def __init__(self) -> None:
        self._ended = -1
        self._since = 0.0

    def seconds(self, ended: int) -> float:
        """Return the time since the number of pictures that have ended was smaller."""
        if ended > self._ended:
            self._ended, self._since = ended, time.monotonic()
        return time.monotonic() - self._since


class BatchRun:
    """Sends files in batches, notes what it sends, and reads the results."""

    def __init__(
        self,
        client: Client,
        resume: ResumeFile,
        begun: BegunBatches,
        inputs: Inputs,
        wanted: Wanted,
        jobs: int,
        timeout_seconds: float,
        bar: ProgressBar,
    ) -> None:
        """At most `jobs` requests are sent at a time; `timeout_seconds` limits the time without an end of a picture."""
        self._client = client
        self._resume = resume
        self._begun = begun
        self._inputs = inputs
        self._wanted = wanted
        self._most_requests = min(jobs, MOST_REQUESTS)
        self._timeout_seconds = timeout_seconds
        self._bar = bar
        self._batches: list[_OpenBatch] = []
        self.is_sent = False

    @property
    def ids(self) -> list[str]:
        """The ids of the batches in which files have no answer yet."""
        return [each.batch.id for each in self._batches if each.jobs]

    def answers(self, files: Sequence[str]) -> Iterator[Answer]:
        """Yield the answer for each file.

        Raises:
            BatchCanceled: somebody has canceled the batch.
            ServiceUnavailable: the service is unavailable.
            OSError: what is sent cannot be noted.
        """
        left = dict.fromkeys(files)
        unanswered = self._earlier_batches(left)
        for _ in range(MOST_TIMES):
            for answer in chain(self._send(left, unanswered), self._read()):
                # A file has two jobs if its first batch was closed by somebody else while it was sent.
                if answer.file in left:
                    del left[answer.file]
                    yield answer
            if not left:
                return
            self._batches, unanswered = [], []
        yield from (Answer(file, problem="The service has lost it repeatedly.", final=False) for file in left)

    def _earlier_batches(self, left: Iterable[str]) -> list[list[str]]:
        """Go on with the batches of earlier runs; return the files of requests to the last one without an answer."""
        unanswered: list[list[str]] = []
        files = [file for file in left if file not in self._inputs.contents]
        for sent in self._resume.batches(self._wanted, files):
            batch, unanswered = self._client.existing_batch(sent.id), []
            try:
                state = batch.state()
            except BatchGone:
                continue
            if state.state != "canceled":
                is_open = state.state == "open"
                self._batches.append(_OpenBatch(batch, sent.jobs, state.counts.added, is_open=is_open))
                unanswered = sent.unanswered if is_open else []
        return unanswered

    def _send(self, left: dict[str, None], unanswered: list[list[str]]) -> Iterator[Answer]:
        """Send the files without a job, and close the batches; yield the answers for those that are not accepted."""
        self.is_sent = False
        known = {file for each in self._batches for file in each.jobs.values()}
        done = self._bar.total - len(left) + len(known)
        again: list[list[str]] = []
        for files in unanswered:
            # With the same files, a request joins the jobs of the first time.
            if not known.intersection(files):
                again.append(files)
                known.update(files)
        others = [file for file in left if file not in known]
        self._bar.begin("sending", done)
        while again or others:
            batch = self._open_batch()
            now, others = others[: batch.room], others[batch.room :]
            batch.added += len(now)
            try:
                yield from self._add(batch, chain(again, packed(now, self._size_of, batch.batch.request_size)))
            except (BatchClosed, BatchGone):
                # Somebody else has ended the batch. Files without a job are sent in another one afterwards.
                _check_not_canceled(batch.batch)
                batch.is_open = False
                break
            again = []
        for each in self._batches:
            each.close()
        self.is_sent = True

    def _open_batch(self) -> _OpenBatch:
        """Return the last batch if it takes more pictures, or a new one."""
        if self._batches and self._batches[-1].room:
            return self._batches[-1]
        batch = self._client.batch(self._wanted.top, min_confidence=self._wanted.min_confidence)
        self._resume.note_batch(batch.id, self._wanted)
        try:
            self._begun.add(BegunBatch.now(batch.id, self._client.url, self._inputs.named))
        except OSError as error:
            LOG.info("`topthree batch list` will not show the batch %s: %s", batch.id, error)
        self._batches.append(_OpenBatch(batch, {}, 0, is_open=True))
        return self._batches[-1]

    def _add(self, batch: _OpenBatch, requests: Iterable[list[str]]) -> Iterator[Answer]:
        """Add files to a batch, and note their jobs; yield the answers for those that are not accepted."""

        def add(files: list[str]) -> tuple[list[str], list[Added]]:
            number = self._resume.note_request(files)
            pictures = [self._inputs.contents.get(file, file) for file in files]
            added = batch.batch.add_together(pictures, files, salt=self._resume.salt)
            self._resume.note_jobs(number, [each.job_id for each in added])
            return files, added

        for files, added in in_threads(add, requests, self._most_requests):
            for file, each in zip(files, added, strict=True):
                if each.job_id:
                    batch.jobs[each.job_id] = file
                elif each.error:
                    yield failed(file, each.error)
            self._bar.advance(len(files))

    def _read(self) -> Iterator[Answer]:
        """Yield the answers for the files that have a job, until all have one or their batch is lost."""
        self._bar.begin("classifying", self._bar.total - sum(len(each.jobs) for each in self._batches))
        for place, each in enumerate(self._batches):
            later = sum(len(other.jobs) for other in self._batches[place + 1 :])
            yield from self._read_batch(each, self._bar.total - later)

    def _read_batch(self, each: _OpenBatch, most: int) -> Iterator[Answer]:
        """Yield the answers of one batch; with its end, the bar reaches `most`."""
        after, wait_seconds, stall = 0, 0.0, _Stall()
        while each.jobs:
            try:
                state = each.batch.state(wait_seconds)
                self._bar.reach(most - state.counts.open)
                for result in each.batch.results(after):
                    after = result.number
                    if (file := each.jobs.pop(result.job_id, None)) is not None:
                        yield Answer(file, result.result, result.detail or "")
            except BatchGone:
                _check_not_canceled(each.batch)
                return
            if state.has_ended:
                return
            stalled_seconds = stall.seconds(state.counts.ended)
            if stalled_seconds >= self._timeout_seconds:
                yield from self._give_up(each)
            elif stalled_seconds >= STALLED_SECONDS:
                self._tell_if_no_worker()
            wait_seconds = min(POLL_SECONDS, self._timeout_seconds)

    def _give_up(self, each: _OpenBatch) -> Iterator[Answer]:
        for job_id, file in each.jobs.items():
            told = f"The job {job_id} has not ended within {self._timeout_seconds:g} s."
            yield Answer(file, problem=told, final=False)
        each.jobs.clear()

    def _tell_if_no_worker(self) -> None:
        with suppress(ServiceUnavailable):
            if not self._client.status().workers:
                LOG.info("%s: No worker is ready; the pictures wait.", self._client.url)

    def _size_of(self, file: str) -> int:
        if file in self._inputs.contents:
            return len(self._inputs.contents[file])
        try:
            return Path(file).stat().st_size
        except OSError:
            return 0


def _check_not_canceled(batch: Batch) -> None:
    with suppress(BatchGone):
        if batch.state().state == "canceled":
            raise BatchCanceled(f"The batch {batch.id} was canceled.")
