"""The figures of a run: medians over its rounds, ratios taken within a round."""

from collections.abc import Callable
from statistics import median
from typing import Any

Round = dict[str, Any]
OURS = "topthree"
CACHED = "topthree, cache"
INT8 = "topthree, int8"
# A run during which other programs used more than this is left out, if there is a better one.
FOREIGN_CORES = 0.15
# Where processor time and ratios of peaks are compared.
PEAK_CLIENTS = ("8 clients", "16 clients")


class Figures:
    """Reads the results of a run."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.rounds: list[Round] = [_calm(one, results["rounds"]) for one in results["rounds"]]

    def over_rounds(self, figure: Callable[[Round], float | None]) -> float | None:
        """Return the median of what `figure` finds in each round, None when it finds nothing."""
        found = [value for value in (figure(one) for one in self.rounds) if value is not None]
        return median(found) if found else None

    def ratio(self, upper: Callable[[Round], float | None], lower: Callable[[Round], float | None]) -> float | None:
        """Return the median of the quotients within each round, that of the medians if no round has both."""

        def quotient(one: Round) -> float | None:
            above, below = upper(one), lower(one)
            return above / below if above is not None and below else None

        above, below = self.over_rounds(upper), self.over_rounds(lower)
        found = self.over_rounds(quotient)
        return above / below if found is None and above is not None and below else found

    def contestants(self) -> list[str]:
        """Return the names of all that were measured."""
        return list(dict.fromkeys(name for one in self.rounds for name in one["contestants"]))

    def measures(self, name: str) -> list[str]:
        """Return the measures of a contestant."""
        return list(dict.fromkeys(measure for one in self.rounds for measure in runs_of(one, name)))


def is_disturbed(run: dict[str, Any]) -> bool:
    """Whether something else used the machine during a run."""
    return bool(run.get("foreign_cores", 0.0) > FOREIGN_CORES)


def _calm(one: Round, rounds: list[Round]) -> Round:
    """Return the round without disturbed runs, where the same was measured undisturbed in another one."""

    def kept(name: str, measure: str) -> bool:
        same = [other for other in rounds if measure in runs_of(other, name)]
        return not _disturbed(one, name, measure) or all(_disturbed(other, name, measure) for other in same)

    contestants = {
        name: {**visit, "runs": {key: run for key, run in visit["runs"].items() if kept(name, key)}}
        for name, visit in one["contestants"].items()
    }
    return {**one, "contestants": contestants}


def _disturbed(one: Round, name: str, measure: str) -> bool:
    """Whether a run is not to be trusted; an open loop's rate depends on the peak that was found before it."""
    runs = runs_of(one, name)
    peaks = [runs[clients] for clients in PEAK_CLIENTS if clients in runs] if measure.startswith("open") else []
    return is_disturbed(runs[measure]) or (bool(peaks) and all(is_disturbed(run) for run in peaks))


def runs_of(one: Round, name: str) -> dict[str, Any]:
    """Return a contestant's runs in a round."""
    return dict(one["contestants"].get(name, {}).get("runs", {}))


def of(name: str, measure: str, *keys: str) -> Callable[[Round], float | None]:
    """Return what reads a figure of a run, such as of("mosec", "8 clients", "latency_ms", "p50")."""

    def read(one: Round) -> float | None:
        value: Any = runs_of(one, name).get(measure)
        for key in keys:
            value = None if value is None else value.get(key)
        return None if value is None else float(value)

    return read


def cpu_of(name: str, measure: str) -> Callable[[Round], float | None]:
    """Return what adds up the processor time a job of all server processes, in milliseconds."""

    def read(one: Round) -> float | None:
        run = runs_of(one, name).get(measure)
        if run is None:
            return None
        return float(sum(value for role, value in run["cpu_ms"].items() if role != "load generator"))

    return read


def cpu_at_peak(name: str) -> Callable[[Round], float | None]:
    """Return what finds the smaller processor time a job of the closed loops, in milliseconds."""

    def read(one: Round) -> float | None:
        found = [cpu_of(name, clients)(one) for clients in PEAK_CLIENTS]
        return min((value for value in found if value is not None), default=None)

    return read


def peak_of(name: str, suffix: str = "") -> Callable[[Round], float | None]:
    """Return what finds the best of the closed loops, in right answers a second."""

    def read(one: Round) -> float | None:
        runs = runs_of(one, name)
        found = [runs[clients + suffix]["per_second"] for clients in PEAK_CLIENTS if clients + suffix in runs]
        return max(found, default=None)

    return read


def rate_of(name: str, size: str) -> Callable[[Round], float | None]:
    """Return what reads the right answers a second for a larger size of pictures."""
    return of(name, f"8 clients, {size}", "per_second")


def limit_of(pictures: str) -> Callable[[Round], float | None]:
    """Return what reads the limit for a size of pictures, in pictures a second."""

    def read(one: Round) -> float | None:
        limits = one["limit"]
        if pictures == "512":
            # Only a disturbance makes it smaller.
            return float(max(limits["before"]["per_second"], limits["after"]["per_second"]))
        return float(limits[pictures]["per_second"]) if pictures in limits else None

    return read


def limit_cpu(one: Round) -> float:
    """Return the processor time of decode and inference of a picture on busy cores, in milliseconds."""
    return float(one["limit"]["before"]["cpu_ms"] + one["limit"]["after"]["cpu_ms"]) / 2


def alone_ms(one: Round) -> float:
    """Return the median time of decode and inference on an idle machine, in milliseconds."""
    return float(one["limit"]["one core"]["time_ms"]["p50"])


def outside_cpu(one: Round) -> float | None:
    """Return the processor time a job outside decode and inference, the load generator's included."""
    run = runs_of(one, OURS).get("8 clients")
    return sum(run["cpu_ms"].values()) - limit_cpu(one) if run else None
