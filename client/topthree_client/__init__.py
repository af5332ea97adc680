"""The Python client of topthree, which the command line `topthree` uses too."""

# Type checkers take this name for that of `typing`, whose import would take long.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from topthree_client.answers import Job, JobCounts, Label, Result, Status, Times, Worker
    from topthree_client.batch import Batch
    from topthree_client.batch_answers import Added, BatchCounts, BatchResult, BatchState, BatchTimes
    from topthree_client.client import Client
    from topthree_client.errors import (
        BatchClosed,
        BatchGone,
        JobGone,
        KeyRefused,
        PictureFailed,
        ServiceUnavailable,
        TopThreeError,
    )
    from topthree_client.outcomes import Outcome

__all__ = [
    "Added",
    "Batch",
    "BatchClosed",
    "BatchCounts",
    "BatchGone",
    "BatchResult",
    "BatchState",
    "BatchTimes",
    "Client",
    "Job",
    "JobCounts",
    "JobGone",
    "KeyRefused",
    "Label",
    "Outcome",
    "PictureFailed",
    "Result",
    "ServiceUnavailable",
    "Status",
    "Times",
    "TopThreeError",
    "Worker",
]

_MODULES = {
    "answers": ("Job", "JobCounts", "Label", "Result", "Status", "Times", "Worker"),
    "batch": ("Batch",),
    "batch_answers": ("Added", "BatchCounts", "BatchResult", "BatchState", "BatchTimes"),
    "client": ("Client",),
    "errors": (
        "BatchClosed",
        "BatchGone",
        "JobGone",
        "KeyRefused",
        "PictureFailed",
        "ServiceUnavailable",
        "TopThreeError",
    ),
    "outcomes": ("Outcome",),
}


def __getattr__(name: str) -> object:
    """Import a name when it is first used: imports take long, and the command line handles Ctrl-C before them."""
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
