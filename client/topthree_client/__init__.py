"""The Python client of topthree, which the command line `topthree` uses too."""

from topthree_client.answers import JobCounts, Label, Result, Status, Worker
from topthree_client.client import Client
from topthree_client.errors import JobGone, KeyRefused, PictureFailed, ServiceUnavailable, TopThreeError

__all__ = [
    "Client",
    "JobCounts",
    "JobGone",
    "KeyRefused",
    "Label",
    "PictureFailed",
    "Result",
    "ServiceUnavailable",
    "Status",
    "TopThreeError",
    "Worker",
]
