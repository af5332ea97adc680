"""The simulation finds faults that are planted into the product, and runs the same way twice."""

from typing import Any

import pytest

from tests.simulation.ledger import Broken
from tests.simulation.planted import OTHERS, TAKEN_OUT, PlantedFault, WrongMethod
from tests.simulation.scenario import Scenario
from tests.simulation.weather import Weather

MOST_SEEDS = 300


@pytest.mark.parametrize(("fault", "weather"), [*TAKEN_OUT, *OTHERS], ids=lambda part: getattr(part, "name", ""))
def test_a_planted_fault_is_found(client: Any, fault: PlantedFault | WrongMethod, weather: Weather) -> None:
    # Given a product with a mistake, When worlds are simulated, Then one of them breaks
    with fault.planted():
        assert any(is_broken(seed, client, weather) for seed in range(MOST_SEEDS))


def is_broken(seed: int, client: Any, weather: Weather) -> bool:
    try:
        Scenario(seed, client, weather).run()
    except (Broken, AssertionError):
        return True
    return False


@pytest.mark.parametrize("weather", [None, Weather.of("lines", "crashes", "batches")], ids=["drawn", "batches"])
def test_a_seed_runs_the_same_way_twice(client: Any, weather: Weather | None) -> None:
    # When one seed is run twice, with others between, Then both take the same steps at the same times
    runs = [Scenario(seed, client, weather) for seed in (7, 8, 7)]
    for run in runs:
        run.run()
    first, _, again = ([line[:30] for line in run.world.trace] for run in runs)
    assert first == again and len(first) > 100
