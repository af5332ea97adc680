"""Tracing that keeps what is recorded, in place of a collector."""

from shared.tracing import Attributes, NoTracing


class KeptSpans(NoTracing):
    """Keeps the steps that are recorded when they are over: name, parent and failure, and their seconds."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str, str]] = []
        self.seconds: list[float] = []

    def past(
        self,
        name: str,
        parent: str,
        began_ms: float,
        ended_ms: float,
        *,
        failure: str = "",
        attributes: Attributes | None = None,
    ) -> None:
        self.steps.append((name, parent, failure))
        self.seconds.append((ended_ms - began_ms) / 1000)
