"""Which kinds of faults a simulated run has."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Weather:
    """Which kinds of faults a run has; each run has some of them only, so that none hides another."""

    lines: bool
    stalls: bool
    crashes: bool
    limits: bool
    clocks: bool
    stores: bool
    messages: bool
    scripts: bool
    # Leases that are shorter than jobs may run.
    leases: bool
    # Redis is away for seconds: what is asked meanwhile is never done.
    outages: bool
    # Some jobs have webhooks; receivers fail, senders crash.
    webhooks: bool
    # Clients send batches, which may expire; with crashes, API processes crash too.
    batches: bool
    # A replica that lacks the last writes is promoted.
    failovers: bool
    # What is accepted is confirmed by the replica before (REDIS_MIN_REPLICAS).
    confirmed: bool

    @classmethod
    def of(cls, *kinds: str) -> "Weather":
        """Return the weather with these kinds of faults only."""
        return cls(*(field.name in kinds for field in fields(cls)))

    @property
    def calm(self) -> bool:
        """Whether no process is ended or stopped."""
        return not (self.crashes or self.limits or self.leases or self.failovers)
