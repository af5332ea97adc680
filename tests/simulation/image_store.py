"""A simulated store of pictures, which may be away."""

from collections.abc import Callable

from shared.errors import ImageMissing
from shared.images.store import ImageStoreAway
from tests.simulation.world import World


class SimulatedStore:
    """Pictures that all processes share; away for as long as the world says."""

    def __init__(self, world: World, *, carried: bool) -> None:
        """`carried`: pictures travel with their record, and there is no store."""
        self._world = world
        self.carried = carried
        self._pictures: dict[str, bytes] = {}
        self.away_until = 0.0

    def put(self, job_id: str, data: bytes) -> bytes:
        if self.carried:
            return data
        self._reach()
        self._pictures[job_id] = data
        return b""

    def get(self, job_id: str, carried: bytes) -> bytes:
        if not self.carried:
            self._reach()
            carried = self._pictures.get(job_id, b"")
        if not carried:
            raise ImageMissing("The picture of this job is no longer stored.")
        return carried

    def holds(self, job_id: str, carried: bytes) -> bool:
        """Whether the picture is there, for the reckoning."""
        return bool(carried if self.carried else self._pictures.get(job_id))

    def delete(self, job_id: str) -> None:
        if not self.carried:
            self._reach()
            self._pictures.pop(job_id, None)

    def sweep(self, max_age_seconds: float, is_needed: Callable[[str], bool]) -> None:
        """Nothing is ever so old."""

    def _reach(self) -> None:
        self._world.pause(self._world.rng.expovariate(200))
        if self._world.now < self.away_until:
            raise ImageStoreAway("away")
