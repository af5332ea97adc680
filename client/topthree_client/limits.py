"""The values that the options of a request may have."""

# The most labels of a picture that the service returns.
MOST_LABELS = 10
# Enough to keep about sixteen worker processes busy; each occupies one of the service's `MAX_WAITERS` slots.
DEFAULT_JOBS = 16
# Each needs a thread and a connection.
MOST_JOBS = 64

EXAMPLE_ID = "dfd4f1afa1d0efaf592cbf83da085ec4"


def check_top(top: int) -> None:
    """Raise ValueError unless `top` is a number of labels that the service returns."""
    _check_whole("top", top, MOST_LABELS)


def check_jobs(jobs: int) -> None:
    """Raise ValueError unless `jobs` is a number of pictures that may be in progress at a time."""
    _check_whole("jobs", jobs, MOST_JOBS)


def check_min_confidence(min_confidence: float) -> None:
    """Raise ValueError unless `min_confidence` is a number from 0 to 1."""
    if not isinstance(min_confidence, int | float) or not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence must be a number from 0 to 1, not {min_confidence!r}.")


def check_seconds(name: str, seconds: float | None) -> None:
    """Raise ValueError unless `seconds` is None or a positive number."""
    if seconds is not None and (not isinstance(seconds, int | float) or not seconds > 0):
        raise ValueError(f"{name} must be more than 0 seconds, not {seconds!r}.")


def check_id(given: str, what: str) -> None:
    """Raise ValueError unless `given` may be an id; it becomes a part of a URL. `what` is "a job" or "a batch"."""
    if not isinstance(given, str) or not (given.isascii() and given.isalnum()):
        raise ValueError(f"{given!r} is not the id of {what}: an id has only digits and letters, such as {EXAMPLE_ID}.")


def _check_whole(name: str, number: int, most: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most}, not {number!r}.")
