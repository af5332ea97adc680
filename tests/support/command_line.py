"""The command `topthree` as a real process, from the source in client/."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.processes import Process
from tests.support.repository import ROOT

COMMAND = [sys.executable, "-m", "topthree_client"]
ENVIRON = {"PYTHONPATH": str(ROOT / "client")}


def topthree(*arguments: str | bytes | Path, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    env = {**os.environ, **ENVIRON, **environ}
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, env=env, capture_output=True, timeout=120, check=False)


def start_topthree(*arguments: str | Path, log: Path, **environ: str) -> Process:
    """Begin the command; what it says goes to `log`."""
    return Process([*COMMAND, *map(str, arguments)], log, **ENVIRON, **environ)


def read_lines(out: Path) -> list[dict[str, Any]]:
    """Return what is in a file of JSON lines, none if it is not there yet; a line that is being written is left out."""
    text = out.read_text("ascii") if out.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
