"""What becomes of freed memory."""

import platform
import subprocess
import sys

from tests.support.needs import skip_outside_ci
from tests.support.repository import ROOT

# Allocates and frees blocks as large as the pixels of a picture; prints the page faults of a round.
PROGRAM = """
import resource
from shared.malloc import keep_freed_blocks
keep_freed_blocks()

def touch():
    blocks = [bytearray(size) for size in [700_000] * 6]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    before = touch()
print(touch() - before)
"""


def test_freed_memory_is_used_again_without_asking_the_kernel() -> None:
    if platform.libc_ver()[0] != "glibc":
        skip_outside_ci("needs glibc")
    # Given a program that keeps freed blocks
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    # Then the same blocks, needed again, cause hardly any page fault; new ones would cause about 1,000
    assert int(done.stdout) < 20
