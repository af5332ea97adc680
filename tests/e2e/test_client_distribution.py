"""client/ is a distribution of its own: it builds, installs into an empty environment and runs there."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.support.repository import ROOT

CLIENT = ROOT / "client"


def run(*command: str | Path, cwd: Path) -> str:
    # Without what the tests' own environment adds.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_installs_into_an_empty_environment_and_runs_there(tmp_path: Path) -> None:
    # Given a wheel, built from a copy as building leaves traces
    source, wheels = tmp_path / "client", tmp_path / "wheels"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source, cwd=tmp_path)
    (wheel,) = wheels.glob("*.whl")
    # Then it carries its types and its licence
    names = zipfile.ZipFile(wheel).namelist()
    assert "topthree_client/py.typed" in names and any(name.endswith("/LICENSE") for name in names)
    # When it is installed into an empty environment
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "--disable-pip-version-check", "install", wheel, cwd=tmp_path)
    # Then command and class work there
    assert "examples:" in run(binaries / "topthree", "--help", cwd=tmp_path)
    run(binaries / "python", "-c", "from topthree_client import Client; Client().close()", cwd=tmp_path)
    # And nothing of the service came along
    installed = run(binaries / "pip", "--disable-pip-version-check", "list", "--format", "freeze", cwd=tmp_path)
    assert not re.search(r"^(flask|celery|redis|tensorflow|numpy|pillow)", installed, re.MULTILINE | re.IGNORECASE)


def test_make_run_locks_what_the_client_needs() -> None:
    # `make run` installs client/ without its dependencies, and these from its lock file.
    needed = tomllib.loads((CLIENT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    locked = (ROOT / "requirements" / "run.txt").read_text("utf-8")
    for requirement in needed:
        name = re.split(r"[<>=]", requirement)[0]
        assert re.search(rf"^{name}==", locked, re.MULTILINE), name
