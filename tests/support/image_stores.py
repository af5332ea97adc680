"""Image stores that misbehave."""

from shared.images.store import ImageStoreAway, RecordImageStore


class KeepingStore(RecordImageStore):
    """Cannot delete."""

    def delete(self, job_id: str) -> None:
        raise ImageStoreAway("Read-only file system")
