"""Classifies the files of a command line, each by requests of its own, so that every answer comes at once."""

from collections.abc import Iterator, Sequence

from topthree_client.client import Client
from topthree_client.file_answers import Answer, Wanted, failed
from topthree_client.inputs import Inputs
from topthree_client.progress_bar import ProgressBar


class SingleUploads:
    """Sends each file as a job, and waits for it."""

    def __init__(self, client: Client, salt: str, inputs: Inputs, wanted: Wanted, jobs: int, bar: ProgressBar) -> None:
        """At most `jobs` pictures are in progress at a time; runs with the same `salt` join the jobs of each other."""
        self._client = client
        self._salt = salt
        self._inputs = inputs
        self._wanted = wanted
        self._jobs = jobs
        self._bar = bar

    def answers(self, files: Sequence[str]) -> Iterator[Answer]:
        """Yield the answer for each file, in the order of completion; ServiceUnavailable if there is no service."""
        self._bar.begin("classifying", self._bar.total - len(files))
        pictures = (self._inputs.contents.get(file, file) for file in files)
        for outcome in self._client.classify_many(
            pictures,
            self._wanted.top,
            min_confidence=self._wanted.min_confidence,
            jobs=self._jobs,
            salt=self._salt,
        ):
            file = files[outcome.index]
            yield failed(file, outcome.error) if outcome.error else Answer(file, outcome.result)
