"""A block that takes more CPU time than it may ends its process, also while C code runs; waiting costs nothing."""

import subprocess
import sys

import pytest

from worker.cpu_limit import CPU_LIMIT_SIGNAL


def exit_code(block: str, seconds: float) -> int:
    """Run a block under the limit and then something that takes longer, in a process of its own."""
    program = (
        "import time, hashlib; from worker.cpu_limit import limit_cpu\n"
        f"with limit_cpu({seconds}): {block}\n"
        "began = time.process_time()\n"
        "while time.process_time() < began + 0.3: pass"
    )
    return subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode


@pytest.mark.parametrize("block", ["[0 for _ in iter(int, 1)]", "sum(range(10**12))"], ids=["Python", "one call of C"])
def test_what_takes_longer_ends_its_process(block: str) -> None:
    assert exit_code(block, 0.1) == -CPU_LIMIT_SIGNAL


@pytest.mark.parametrize(("block", "seconds"), [("pass", 0.2), ("time.sleep(0.4)", 0.2), ("sum(range(10**7))", 0)])
def test_what_stays_below_it_and_what_follows_are_let_be(block: str, seconds: float) -> None:
    assert exit_code(block, seconds) == 0
