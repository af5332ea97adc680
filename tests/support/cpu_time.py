"""Measures the CPU time of a call, for tests of input that must not cost much."""

import time
from collections.abc import Callable


def least_cpu_seconds(call: Callable[[], object]) -> float:
    """Return the least CPU seconds of three calls: other processes can only add to them."""

    def measure() -> float:
        began = time.thread_time()
        call()
        return time.thread_time() - began

    return min(measure() for _ in range(3))
