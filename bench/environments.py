"""An environment for each peer, made once from its locked requirements."""

import subprocess
import sys
from pathlib import Path

from bench.processes import ROOT

_ENVIRONMENTS = Path(__file__).parent / ".venvs"


class NotInstalled(Exception):
    """A peer could not be installed here."""


def python_of(name: str) -> Path:
    """Return the interpreter of an environment."""
    return _ENVIRONMENTS / name / "bin" / "python"


def prepare_environment(name: str) -> None:
    """Install requirements/bench-<name>.txt unless that was done before; NotInstalled with the reason."""
    requirements = ROOT / "requirements" / f"bench-{name}.txt"
    stamp = _ENVIRONMENTS / name / ".installed"
    if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
        return
    print(f"installing {name} …", file=sys.stderr, flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENTS / name)])
    _run([str(python_of(name)), "-m", "deploy.local.install", str(requirements)])
    stamp.write_bytes(requirements.read_bytes())


def _run(command: list[str]) -> None:
    # Progress goes to stderr: stdout is for results.
    done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NotInstalled((done.stderr.strip().splitlines() or ["no reason given"])[-1])
