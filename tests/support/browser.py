"""`python -m tests.support.browser`: a Chromium for the tests of the web page, found or installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APT = ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")
MISSING = (
    "The tests of the web page need Chromium or Chrome, and none was found. `make browser` installs one; if it cannot, "
    "install one as your system does it (Debian: `apt-get install chromium`), so that it is on the PATH."
)


def find_browser() -> str | None:
    """Return the path of a browser: one of the system, or the one that Playwright has downloaded."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install_browser() -> None:
    """Install one from Debian's packages where that is possible, else as Playwright does; the caller checks."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            subprocess.run([*APT, *command], env=environ, check=False)
    if not find_browser():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> int:
    if not find_browser():
        print("Installing Chromium for the tests of the web page (this happens once).", flush=True)
        install_browser()
    if not find_browser():
        print(MISSING, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
