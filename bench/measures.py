"""What is measured of whom, in which order."""

from dataclasses import dataclass, replace

LOADS = (0.25, 0.5, 0.75, 0.9, 1.1)
OTHER_SIZES = ("1080p", "12mp")
# Of the requests of a trace with repeats, this share is for a picture that was sent before.
REPEATS = 0.3


@dataclass(frozen=True)
class Measure:
    """One run of the load generator against one contestant."""

    name: str
    clients: int = 0
    pictures: str = "512"
    repeats: float = 0.0
    load: float = 0.0
    """Share of the peak that the closed loops of the same visit found; 0 for a closed loop."""
    headers: str = ""
    poll_headers: str = ""
    poll_seconds: float = 0.0
    first_round_only: bool = False


def closed(clients: int) -> Measure:
    """So many clients, each sends its next picture when it has the answer."""
    return Measure(f"{clients} clients", clients)


def other_sizes() -> list[Measure]:
    """Larger pictures, and a mixture."""
    return [replace(closed(8), name=f"8 clients, {size}", pictures=size) for size in OTHER_SIZES]


def with_repeats() -> list[Measure]:
    """The trace in which pictures come again."""
    return [replace(closed(clients), name=f"{clients} clients, repeats", repeats=REPEATS) for clients in (8, 16)]


def ours() -> list[Measure]:
    """Everything: closed loops, and in the first round asynchronous clients, open loops and an overload."""
    asynchronous = Measure("16 clients, async and poll", 16, headers="Prefer: respond-async\r\n", poll_seconds=0.1)
    long_poll = replace(asynchronous, name="16 clients, async and long poll", poll_seconds=0.0)
    once = [
        closed(4),
        asynchronous,
        replace(long_poll, poll_headers="Prefer: wait=20\r\n"),
        *(Measure(f"open, {load:.0%}", load=load) for load in LOADS),
        Measure("open, 50% after the overload", load=0.5),
    ]
    return [closed(1), *peer(), *(replace(measure, first_round_only=True) for measure in once)]


def peer() -> list[Measure]:
    """The closed loops that find a peak, and other sizes."""
    return [*peak(), *other_sizes()]


def peak() -> list[Measure]:
    """The closed loops that find a peak."""
    return [closed(8), closed(16)]


MEASURES: dict[str, list[Measure]] = {
    "topthree": ours(),
    "topthree, int8": peak(),
    "topthree, cache": with_repeats(),
    "mosec": [*peer(), *with_repeats()],
    "litserve": peer(),
    "bentoml": peer(),
    "original": peer(),
    "mosec, our pipeline": peak(),
    "litserve, our pipeline": peak(),
    "bentoml, our pipeline": peak(),
}
