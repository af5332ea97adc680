"""Bounds the time that decoding one picture may take, wherever in the decoders' C code it is spent."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

# What ends a process whose decoding takes too long. No exception does: one call of a decoder may last for minutes, and
# Python sees no signal before it returns.
CPU_LIMIT_SIGNAL = signal.SIGPROF


@contextmanager
def limit_cpu(seconds: float) -> Iterator[None]:
    """Kill this process by CPU_LIMIT_SIGNAL if the block takes it more CPU seconds; 0 is no limit.

    With a limit it must be the main thread, as signals are.

    CPU time and not the clock's: a process that was held up is no fault of the picture.
    """
    if not seconds:
        yield
        return
    signal.signal(CPU_LIMIT_SIGNAL, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
