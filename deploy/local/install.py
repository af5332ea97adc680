"""`python -m deploy.local.install LOCK [PROJECT...]`: installs a lock file, and projects of this repository."""

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
# The beginnings of pip's first line about a requirement.
BEGUN = ("Collecting ", "Processing ", "Requirement already satisfied: ", "Ignoring ")
# Interval of the progress lines on a terminal and in a log file.
TERMINAL_SECONDS, LOG_SECONDS = 1, 20
# pip's message about a wrong hash has ten lines.
ERROR_LINES = 20
STDOUT, STDERR = 1, 2


def main() -> int:
    """Install the lock file and projects into this Python's environment and check it; return the exit code."""
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

    A lock file is complete, so dependencies are not resolved. Older versions of pip fail at that: they treat
    `coverage[toml]` of pytest-cov as a different requirement than the pinned `coverage`, and choose the newest release.
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
    """Install a project in editable mode, with the installed build tools; return pip's exit code."""
    done = run(pip("install", "--no-user", "--no-deps", "--no-build-isolation", "--editable", folder))
    if done.returncode:
        complain(done.stdout.splitlines())
    return done.returncode


def check(lock: Path) -> int:
    """Check that the requirements of a lock file's packages are installed; return the exit code.

    Other packages in the environment may be broken: those of the tests, or of an older version of the lock file.
    """
    done = run(pip("check"))
    pinned = {normalize(name) for name in PIN.findall(lock.read_text("utf-8"))}
    broken = [line for line in done.stdout.splitlines() if normalize(line.partition(" ")[0]) in pinned]
    if done.returncode and broken:
        complain(broken)
        return 1
    return 0


def pip(command: str, *options: str) -> list[str]:
    """Return a pip command without prompts, because its output is not shown."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", command, *options]


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command until it ends; its stderr is merged into stdout."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )


def normalize(name: str) -> str:
    """Return the normalized name of a package (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Progress:
    """Shows pip's progress: one updated line on a terminal, or a line at intervals in a log file."""

    def __init__(self, packages: int) -> None:
        """`packages` is the number of pins in the lock file."""
        self.lines: list[str] = []
        self._packages = packages
        self._begun = 0
        self._started = time.monotonic()
        self._terminal = os.isatty(STDOUT) and os.environ.get("TERM", "dumb") != "dumb"
        self.interval = TERMINAL_SECONDS if self._terminal else LOG_SECONDS

    def follow(self, output: Iterable[str]) -> None:
        """Read pip's output until it ends."""
        for line in output:
            self.lines.append(line.strip())
            self._begun += self.lines[-1].startswith(BEGUN)

    def show(self) -> None:
        """Print the progress; on a terminal also pip's last line, cut to the terminal's width."""
        text = f"  {self._begun} of {self._packages} packages, {time.monotonic() - self._started:.0f} s"
        if self._terminal:
            last = self.lines[-1] if self.lines else ""
            text = "\r\x1b[K" + f"{text}  {last}"[: shutil.get_terminal_size().columns - 1]
        write(STDOUT, text if self._terminal else f"{text}\n")

    def end(self) -> None:
        """End the progress line on a terminal."""
        write(STDOUT, "\n" if self._terminal else "")


def complain(lines: list[str]) -> None:
    """Print the last lines of a failed command's output."""
    write(STDERR, "\n".join([*lines[-ERROR_LINES:], ""]))


def write(stream: int, text: str) -> None:
    """Write to a file descriptor; ignore errors, so that a closed one does not stop the installation."""
    with suppress(OSError):
        os.write(stream, text.encode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())
