"""The Python client of topthree, which the command line `topthree` uses too."""

# Type checkers take this name for that of `typing`, whose import would take long.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from topthree_client.answers import Job, JobCounts, Label, Result, Status, Times, Worker
    from topthree_client.client import Client
    from topthree_client.errors import JobGone, KeyRefused, PictureFailed, ServiceUnavailable, TopThreeError
    from topthree_client.outcomes import Outcome

__all__ = [
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
    "client": ("Client",),
    "errors": ("JobGone", "KeyRefused", "PictureFailed", "ServiceUnavailable", "TopThreeError"),
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
