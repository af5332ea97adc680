"""Classifies the files of a command line, each by a request of its own, so that each answer comes at once."""

from collections.abc import Iterator, Mapping, Sequence

from topthree_client.client import Client
from topthree_client.file_answers import Answer, Wanted, failed


def classify_all(
    client: Client, files: Sequence[str], contents: Mapping[str, bytes], wanted: Wanted, salt: str, jobs: int
) -> Iterator[Answer]:
    """Yield the outcome for each file, in the order of completion; at most `jobs` are in progress at a time.

    `contents` has the pictures that are no files, by their names among `files`.

    Raises:
        ServiceUnavailable: the service is unavailable.
    """
    pictures = (contents.get(file, file) for file in files)
    for outcome in client.classify_many(
        pictures, wanted.top, min_confidence=wanted.min_confidence, jobs=jobs, salt=salt
    ):
        file = files[outcome.index]
        yield failed(file, outcome.error) if outcome.error else Answer(file, outcome.result)
