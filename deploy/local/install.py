"""`python -m deploy.local.install LOCK [PROJECT]`: installs a lock file, and a project of this repository with it."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PIN = re.compile(r"^([\w.-]+)==", re.MULTILINE)
# How pip's line about a requirement begins, whatever comes of it.
BEGUN = ("Collecting ", "Processing ", "Requirement already satisfied: ", "Ignoring ")
# A terminal is kept up to date, a log file has a line now and then.
TERMINAL_SECONDS, LOG_SECONDS = 1, 20
# An error of pip about a hash has ten.
ERROR_LINES = 20
STDOUT, STDERR = 1, 2


def main() -> int:
    """Install what the command names into the environment of this Python and check it; return an exit code."""
    lock, *projects = sys.argv[1:]
    try:
        code = install_lock(Path(lock))
        for project in projects:
            code = code or install_project(project)
        return code or check(Path(lock))
    except KeyboardInterrupt:
        return 130


def install_lock(lock: Path) -> int:
    """Install the packages of a lock file and show the progress; return pip's exit code.

    A lock file is complete, so dependencies are not resolved. Older versions of pip cannot: they take `coverage[toml]`
    of pytest-cov for another requirement than the pinned `coverage`, and choose the newest release.
    """
    progress = Progress(len(PIN.findall(lock.read_text("utf-8"))))
    command = pip("install", "--no-user", "--progress-bar", "off", "--no-deps", "--require-hashes", "-r", str(lock))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout
        reader = threading.Thread(target=progress.follow, args=(process.stdout,))
        reader.start()
        while reader.is_alive():
            reader.join(progress.interval)
            progress.show()
    progress.end()
    if process.returncode:
        complain(progress.lines)
    return process.returncode


def install_project(folder: str) -> int:
    """Install a project whose changes take effect at once, built by what is installed; return pip's exit code."""
    done = run(pip("install", "--no-user", "--no-deps", "--no-build-isolation", "--editable", folder))
    if done.returncode:
        complain(done.stdout.splitlines())
    return done.returncode


def check(lock: Path) -> int:
    """Check that the packages of a lock file have all that they require; return an exit code.

    Other packages may be broken: those of the tests, or of an older version of the lock file.
    """
    done = run(pip("check"))
    pinned = {normalize(name) for name in PIN.findall(lock.read_text("utf-8"))}
    broken = [line for line in done.stdout.splitlines() if normalize(line.partition(" ")[0]) in pinned]
    if done.returncode and broken:
        complain(broken)
        return 1
    return 0


def pip(command: str, *options: str) -> list[str]:
    """Return a command of pip that asks for nothing, as what it prints is not shown."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", command, *options]


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; stderr comes with stdout."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )


def normalize(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Progress:
    """How far pip is: a line of the terminal that changes, or a line now and then in a log file."""

    def __init__(self, packages: int) -> None:
        """`packages` is the number of pins in the lock file."""
        self.lines: list[str] = []
        self._packages = packages
        self._begun = 0
        self._started = time.monotonic()
        self._terminal = os.isatty(STDOUT) and os.environ.get("TERM", "dumb") != "dumb"
        self.interval = TERMINAL_SECONDS if self._terminal else LOG_SECONDS

    def follow(self, output: Iterable[str]) -> None:
        """Read what pip prints, to its end."""
        for line in output:
            self.lines.append(line.strip())
            self._begun += self.lines[-1].startswith(BEGUN)

    def show(self) -> None:
        """Print how far pip is; on a terminal its last line too, as far as there is room for it."""
        text = f"  {self._begun} of {self._packages} packages, {time.monotonic() - self._started:.0f} s"
        if self._terminal:
            last = self.lines[-1] if self.lines else ""
            text = "\r\x1b[K" + f"{text}  {last}"[: shutil.get_terminal_size().columns - 1]
        write(STDOUT, text if self._terminal else f"{text}\n")

    def end(self) -> None:
        """Leave the line of the terminal."""
        write(STDOUT, "\n" if self._terminal else "")


def complain(lines: list[str]) -> None:
    """Print the last lines of what went wrong."""
    write(STDERR, "\n".join([*lines[-ERROR_LINES:], ""]))


def write(stream: int, text: str) -> None:
    """Write to a file descriptor; one that is closed does not stop the installation."""
    with suppress(OSError):
        os.write(stream, text.encode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())
