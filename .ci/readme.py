"""Runs the README's commands (make run, curl, topthree) as a newcomer would, with the standard library only."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
START_SECONDS = 1500
STOP_SECONDS = 60
# Every command sends the example picture and must print its label.
EXAMPLE_LABEL = "traffic light"


def main() -> None:
    """Start the service, run what the README shows, stop it; any surprise is an error."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = [block for block in blocks_of(text) if is_followed(block)]
    assert blocks[0] == "make run\n", blocks[0]
    service = subprocess.Popen(
        ["make", "run"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        follow_until_ready(service)
        for block in blocks[1:]:
            assert EXAMPLE_LABEL in run(block), f"{EXAMPLE_LABEL!r} is not among the labels"
    finally:
        if service.poll() is None:
            os.killpg(service.pid, signal.SIGINT)
        service.wait(STOP_SECONDS)
    print("the README's commands work")


def blocks_of(text: str) -> list[str]:
    """Return the blocks of commands in a page."""
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def is_followed(block: str) -> bool:
    """Whether a block of the README is run here: the service, and what talks to it."""
    return block == "make run\n" or block.startswith(("curl", ".venv/bin/topthree"))


def follow_until_ready(service: subprocess.Popen[str]) -> None:
    """Show what `make run` prints until it says it is ready; its pipe is read on so that it never fills."""
    ready = threading.Event()

    def follow() -> None:
        for line in service.stdout:
            sys.stdout.write(line)
            if line.startswith("Ready on http://127.0.0.1:5000"):
                ready.set()
        ready.set()

    threading.Thread(target=follow, daemon=True).start()
    assert ready.wait(START_SECONDS), "make run did not become ready"
    assert service.poll() is None, "make run ended"


def run(command: str) -> str:
    """Run a command of the README in its folder; an HTTP error is an error."""
    print(f"$ {command.strip()}", flush=True)
    fail = command.replace("curl ", "curl --fail-with-body --silent --show-error --max-time 60 ", 1)
    done = subprocess.run(["bash", "-e", "-c", fail], cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, flush=True)
    assert done.returncode == 0, f"exit code {done.returncode}"
    return done.stdout


if __name__ == "__main__":
    main()
