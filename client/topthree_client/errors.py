"""Exceptions of the client; `str(error)` is a message for users."""


class TopThreeError(Exception):
    """Base class of this package's exceptions about pictures, jobs and the service."""


class PictureFailed(TopThreeError):
    """The picture has no labels: the service refused it, or its job failed or was canceled."""

    def __init__(self, status: int, detail: str) -> None:
        """`status` is the HTTP status of the response, or of the job's problem."""
        super().__init__(detail)
        self.status = status


class JobGone(TopThreeError):
    """The service no longer has the job: it was deleted, has expired, or was lost."""


class BatchGone(TopThreeError):
    """The service no longer has the batch or its results: it was canceled or deleted, has expired, or was lost."""


class BatchClosed(TopThreeError):
    """The batch takes no more pictures."""


class ServiceUnavailable(TopThreeError):
    """The service is unavailable: unreachable, busy for too long, no valid key, or not a topthree service."""


class UploadInterrupted(ServiceUnavailable):
    """The service is reachable, but an upload was interrupted again and again."""


class KeyRefused(ServiceUnavailable):
    """The API key is missing or invalid."""
