"""The autoscaler of Kubernetes with KEDA, as their documentation describes it: how many pods for which measure.

Kubernetes: "Horizontal Pod Autoscaling", algorithm details and configurable scaling behavior. KEDA: "ScaledObject
specification". Not simulated: errors of the source, and pods that are not ready for other reasons than their start.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

SYNC_SECONDS = 15.0
# Ratios of a measure to its target that are this close to 1 change nothing.
TOLERANCE = 0.1


@dataclass(frozen=True)
class Policy:
    """The number of pods may change by `pods`, or by `percent` of what it was, within `seconds`."""

    seconds: float
    pods: int = 0
    percent: float = 0

    def change(self, before: int) -> float:
        """Return by how many pods `before` may change."""
        return max(self.pods, before * self.percent / 100)


@dataclass(frozen=True)
class Behavior:
    """How fast the number of pods may change in one direction; of several policies the largest change counts.

    The recommendations of the last `stabilization_seconds` must agree: the smallest counts upwards, the largest
    downwards.
    """

    stabilization_seconds: float
    policies: tuple[Policy, ...]


@dataclass(frozen=True)
class Trigger:
    """A measure and its target; `average`: for each pod (AverageValue), otherwise for all together (Value)."""

    measure: str
    target: float
    average: bool = False

    def pods(self, value: float, pods: int, ready: int) -> int:
        """Return how many pods this trigger asks for, when there are `pods`, of which some are ready."""
        ratio = value / (self.target * pods) if self.average else value / self.target
        if abs(1 - ratio) <= TOLERANCE:
            return pods
        return math.ceil(value / self.target) if self.average else math.ceil(ratio * ready)


# The defaults of Kubernetes.
UP = Behavior(0, (Policy(15, pods=4), Policy(15, percent=100)))
DOWN = Behavior(300, (Policy(15, percent=100),))


@dataclass(frozen=True)
class Rule:
    """A ScaledObject: of several triggers the one that asks for most pods counts.

    With `min_pods` 0, KEDA itself starts the first pod, and looks every `polling_seconds` whether it must; it stops the
    last one when no trigger has been above 0 for `cooldown_seconds`.
    """

    triggers: tuple[Trigger, ...]
    min_pods: int = 2
    max_pods: int = 20
    up: Behavior = UP
    down: Behavior = DOWN
    polling_seconds: float = 30
    cooldown_seconds: float = 300


class Autoscaler:
    """Decides by a rule; it remembers what it recommended and what it changed. Times are in seconds."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._recommended: deque[tuple[float, int]] = deque()
        self._changes: list[tuple[float, int]] = []
        self._active_at = 0.0

    def decide(self, now: float, pods: int, ready: int, measures: Mapping[str, float]) -> int:
        """Return how many pods there must be; `pods` is how many were asked for last.

        Call this every SYNC_SECONDS, and while there are no pods every `polling_seconds`.
        """
        rule = self._rule
        active = any(measures[trigger.measure] > 0 for trigger in rule.triggers)
        if active:
            self._active_at = now
        if pods == 0:
            return int(active)
        if rule.min_pods == 0 and now - self._active_at > rule.cooldown_seconds:
            return 0
        wanted = max(trigger.pods(measures[trigger.measure], pods, ready) for trigger in rule.triggers)
        wanted = self._limited(now, pods, self._stabilized(now, pods, wanted))
        wanted = min(rule.max_pods, max(1, rule.min_pods, wanted))
        if wanted != pods:
            self._changes.append((now, wanted - pods))
        return wanted

    def _stabilized(self, now: float, pods: int, wanted: int) -> int:
        up, down = self._rule.up.stabilization_seconds, self._rule.down.stabilization_seconds
        self._recommended.append((now, wanted))
        while self._recommended[0][0] < now - max(up, down):
            self._recommended.popleft()
        lowest = min(number for at, number in self._recommended if at >= now - up)
        highest = max(number for at, number in self._recommended if at >= now - down)
        return min(max(pods, lowest), highest)

    def _limited(self, now: float, pods: int, wanted: int) -> int:
        if wanted > pods:
            most = max(math.ceil(before + policy.change(before)) for policy, before in self._starts(now, pods, 1))
            return min(wanted, max(pods, most))
        if wanted < pods:
            least = min(int(before - policy.change(before)) for policy, before in self._starts(now, pods, -1))
            return max(wanted, min(pods, least))
        return pods

    def _starts(self, now: float, pods: int, sign: int) -> list[tuple[Policy, int]]:
        """Return each policy of a direction, with the number of pods at the start of its period."""
        policies = (self._rule.up if sign > 0 else self._rule.down).policies
        changes = [(at, by) for at, by in self._changes if by * sign > 0]
        return [(policy, pods - sum(by for at, by in changes if at > now - policy.seconds)) for policy in policies]
