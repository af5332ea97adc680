"""Exceptions of the client; `str(error)` is a message for users."""


class TopThreeError(Exception):
    """Base of everything that this package raises about pictures, jobs and the service."""


class PictureFailed(TopThreeError):
    """The service has answered, and there are no labels: the picture was refused, or its job failed or was ended."""

    def __init__(self, status: int, detail: str) -> None:
        """`status` is the HTTP status of the answer, or of the job's problem."""
        super().__init__(detail)
        self.status = status


class JobGone(TopThreeError):
    """The service does not have the job: it was deleted, has outlived its time, or was lost."""


class ServiceUnavailable(TopThreeError):
    """The service cannot be used: not reached, too busy for too long, no key, or something else answers there."""


class KeyRefused(ServiceUnavailable):
    """The service wants an API key, or another one."""
