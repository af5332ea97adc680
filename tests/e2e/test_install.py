"""What `make run` and `make test` install: on each Python, with the pip it brings, whatever has been released since."""

import json
import os
import pty
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path

import pip
import pytest

from tests.support.commands import call, output
from tests.support.needs import skip_outside_ci
from tests.support.package_index import NEWER, PackageIndex
from tests.support.repository import ROOT, copy_repository

# The versions of pip that Python 3.11.0, 3.12.0 and 3.13.0 bring.
OLDEST_PIP = {(3, 11): "22.3", (3, 12): "23.2.1", (3, 13): "24.2"}
SETS = {"run.txt": ".venv/.run", "dev.txt": ".venv/.dev"}
SECONDS, REAL_SECONDS = 120, 1500
# Nothing of the `make` that runs the tests.
NO_MAKE = {"MAKEFLAGS": "", "MAKELEVEL": ""}
WRONG_PYTHON = "topthree needs Python 3.11, 3.12 or 3.13: PYTHON=/path/to/python make run\n"
BASE_PYTHON = str(sys._base_executable)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Environment:
    """A Python environment with pip, which knows one index."""

    folder: Path
    index: PackageIndex

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    @property
    def environ(self) -> dict[str, str]:
        return {"PIP_INDEX_URL": self.index.url, "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}

    def install(self, *locked: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Install a lock file with these lines."""
        return call(self.installer(*locked), {**self.environ, **environ}, SECONDS)

    def installer(self, *locked: str) -> list[str]:
        lock = self.folder / "lock.txt"
        lock.write_text("".join(locked), "utf-8")
        return [self.python, "-m", "deploy.local.install", str(lock)]

    def versions(self) -> dict[str, str]:
        """Return what is installed."""
        command = [self.python, "-I", "-m", "pip", "list", "--disable-pip-version-check", "--format", "json"]
        packages = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
        return {package["name"]: package["version"] for package in packages}


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A clone of the repository in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    copy_repository(folder)
    yield folder
    # Some gigabytes.
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("install")
    environment = Environment(folder / "an environment", PackageIndex(folder / "index"))
    shutil.copytree(Path(pip.__file__).parent, add_packages_folder(environment, BASE_PYTHON) / "pip")
    return environment


@pytest.fixture(scope="module")
def setuptools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that client/ is built with."""
    return download("setuptools", version_of("setuptools"), tmp_path_factory.mktemp("setuptools"))


def download(package: str, version: str, folder: Path) -> Path:
    """Return the wheel of a package, from the index that the tests were installed from."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(folder), f"{package}=={version}"]
    output(command, {}, SECONDS)
    return folder / f"{package}-{version}-py3-none-any.whl"


def python_of(version: tuple[int, int]) -> str:
    """Return an interpreter of a version; the test is skipped where there is none."""
    major, minor = version
    check = f"import sys; sys.exit(sys.version_info[:2] != {version})"
    names = (BASE_PYTHON, f"python{major}.{minor}")
    fitting = [name for name in names if shutil.which(name) and call([name, "-c", check], {}, SECONDS).returncode == 0]
    if not fitting:
        skip_outside_ci(f"needs Python {major}.{minor} on the PATH")
    return fitting[0]


def add_packages_folder(environment: Environment, python: str) -> Path:
    """Make the environment without pip; return the folder of its packages."""
    output([python, "-m", "venv", "--without-pip", str(environment.folder)], {}, SECONDS)
    (folder,) = environment.folder.glob("lib/python*/site-packages")
    return folder


def add_environment(clone: Path, python: str, pip_version: str) -> Environment:
    """Make the environment of a clone before `make` does, with another version of pip than `python` brings."""
    environment = Environment(clone / ".venv", PackageIndex(clone / "index"))
    with zipfile.ZipFile(download("pip", pip_version, clone / "wheels")) as wheel:
        wheel.extractall(add_packages_folder(environment, python))
    return environment


@pytest.mark.parametrize("version", OLDEST_PIP)
def test_old_versions_of_pip_install_the_pinned_packages_while_there_are_newer_ones(
    version: tuple[int, int], clone: Path, setuptools: Path
) -> None:
    # Given an environment with the oldest pip of this Python, which also older Pythons run
    python = BASE_PYTHON if sys.version_info[:2] <= version else python_of(version)
    environment = add_environment(clone, python, OLDEST_PIP[version])
    # And lock files with a package that requires an extra of another one; there are newer releases of all
    index = environment.index
    lock = "".join(
        [
            index.add("coverage", "7.0"),
            index.add("pytest-cov", "7.0", "coverage[toml]>=7.0"),
            # What client/ is built with, and what it requires.
            index.add_file(setuptools),
            index.add("httpx", "0.28"),
            index.add("rich", "14.0"),
        ]
    )
    index.add_newer_releases(lock)
    for name, stamp in SETS.items():
        (clone / "requirements" / name).write_text(lock, "utf-8")
        # When a set is installed
        printed = output(["make", stamp], {**NO_MAKE, **environment.environ}, SECONDS, clone)
        # Then it says in a few lines how far it is
        assert "5 of 5 packages" in printed and len(printed.splitlines()) < 6, printed
    # And the versions are those that are pinned
    versions = environment.versions()
    assert {"coverage", "pytest-cov", "topthree-client"} <= set(versions) and NEWER not in versions.values()
    assert versions["pip"] == OLDEST_PIP[version]


@pytest.mark.nightly
@pytest.mark.parametrize("version", OLDEST_PIP)
def test_both_sets_install_on_each_python_while_there_are_newer_releases_of_everything(
    version: tuple[int, int], clone: Path
) -> None:
    # Given an environment with the oldest pip of this Python, and a newer release of every package
    environment = add_environment(clone, python_of(version), OLDEST_PIP[version])
    index = environment.index
    index.add_newer_releases("".join((clone / "requirements" / name).read_text("utf-8") for name in SETS))
    for stamp in SETS.values():
        # When a set is installed
        output(["make", stamp], {**NO_MAKE, "PIP_EXTRA_INDEX_URL": index.url}, REAL_SECONDS, clone)
        # Then the versions are those that are pinned, and nothing is missing
        assert NEWER not in environment.versions().values()
        output([environment.python, "-m", "pip", "check"], {}, SECONDS)


def test_a_lock_file_that_lacks_a_package_is_an_error(environment: Environment) -> None:
    # Given a lock file without a package that another one requires
    # When it is installed
    done = environment.install(environment.index.add("lacking", "1.0", "absent"))
    # Then it fails and says what is missing
    assert done.returncode != 0 and "lacking 1.0 requires absent, which is not installed" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_package_that_is_not_what_it_was_is_an_error(environment: Environment) -> None:
    # Given a lock file with another hash
    pin, _, digest = environment.index.add("changed", "1.0").partition("sha256:")
    # When it is installed
    done = environment.install(f"{pin}sha256:{digest[::-1].strip()}\n")
    # Then it fails and says why
    assert done.returncode != 0 and "DO NOT MATCH THE HASHES" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_package_of_an_older_version_does_no_harm(environment: Environment) -> None:
    # Given an environment with a package that does not fit the others of a new lock file, which no longer has it
    index = environment.index
    assert environment.install(index.add("kept", "1.0"), index.add("dropped", "1.0", "kept<2")).returncode == 0
    # When that is installed
    done = environment.install(index.add("kept", "2.0"))
    # Then it works
    assert done.returncode == 0 and environment.versions()["kept"] == "2.0"


def test_somebody_whose_pip_installs_for_the_user_gets_everything_too(environment: Environment) -> None:
    # When somebody installs a lock file who has set that
    done = environment.install(environment.index.add("own", "1.0"), PIP_USER="1")
    # Then it is in the environment
    assert done.returncode == 0 and "own" in environment.versions()


def test_a_terminal_shows_progress_in_one_line(environment: Environment) -> None:
    # Given a terminal
    terminal, stdout = pty.openpty()
    command = environment.installer(environment.index.add("shown", "1.0"))
    # When a lock file is installed
    environ = {**os.environ, **environment.environ, "TERM": "xterm"}
    subprocess.run(command, env=environ, cwd=ROOT, stdout=stdout, check=True)
    # Then its packages are counted in one line
    printed = os.read(terminal, 100_000).decode()
    assert printed.count("\n") == 1 and "\r\x1b[K  1 of 1 packages, " in printed


def test_an_output_that_is_closed_does_not_stop_it(environment: Environment) -> None:
    # Given an output that nobody reads
    reader, stdout = os.pipe()
    os.close(reader)
    command = environment.installer(environment.index.add("unheard", "1.0"))
    # When a lock file is installed, Then it is
    subprocess.run(command, env={**os.environ, **environment.environ}, cwd=ROOT, stdout=stdout, check=True)
    assert "unheard" in environment.versions()


def plan(clone: Path, target: str, **environ: str) -> str:
    """Return the commands that `make` would run."""
    return output(["make", "-n", target], {**NO_MAKE, "PYTHON": BASE_PYTHON, **environ}, SECONDS, clone)


def test_an_environment_whose_python_is_gone_is_made_and_filled_again(clone: Path) -> None:
    # Given an environment with all that is needed
    (clone / ".venv" / "bin").mkdir(parents=True)
    python, stamp = clone / ".venv" / "bin" / "python", clone / ".venv" / ".run"
    python.symlink_to(BASE_PYTHON)
    stamp.touch()
    assert "install" not in plan(clone, "run")
    # When its Python has been uninstalled
    python.unlink()
    python.symlink_to("/no/such/python")
    # Then it is made and filled again
    planned = plan(clone, "run")
    assert planned.index("-m venv --clear .venv") < planned.index("-m deploy.local.install requirements/run.txt client")


def test_an_environment_that_could_not_be_made_is_made_again(clone: Path) -> None:
    # Given a Python without ensurepip, as Debian's is without python3-venv: it leaves a part of the environment behind
    python = clone / "python without ensurepip"
    python.write_text(f'#!/bin/sh\n"{BASE_PYTHON}" "$@" --without-pip && [ "$1" != -m ]\n', "utf-8")
    python.chmod(0o755)
    # When it has been tried
    done = call(["make", ".venv/bin/python"], {**NO_MAKE, "PYTHON": str(python)}, SECONDS, clone)
    assert done.returncode != 0 and (clone / ".venv" / "pyvenv.cfg").exists()
    # Then the environment is made again with another one
    assert "-m venv --clear .venv" in plan(clone, "run")


def test_packages_of_another_environment_are_not_seen(clone: Path) -> None:
    # Given somebody whose Python sees packages elsewhere, and a stand-in for the environment's
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "path: $PYTHONPATH."\n', "utf-8")
    python.chmod(0o755)
    # When everything is installed, Then it sees none of them
    assert "path: .\n" in output(["make", ".venv/.run"], {**NO_MAKE, "PYTHONPATH": "/elsewhere"}, SECONDS, clone)


@pytest.mark.parametrize("python", ["", "/no/such/python", "/bin/false"])
def test_a_python_that_is_missing_or_does_not_fit_is_told_in_one_sentence(clone: Path, python: str) -> None:
    # When there is no Python that fits
    done = call(["make", "run"], {**NO_MAKE, "PYTHON": python}, SECONDS, clone)
    # Then that is all that is said
    first, *rest = done.stdout.splitlines(keepends=True)
    assert done.returncode != 0 and first == WRONG_PYTHON
    assert all(line.startswith("make: ***") for line in rest)
