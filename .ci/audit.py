"""Looks every pinned package up in a database of known vulnerabilities; says so when none can be asked."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCES = ("pypi", "osv")
# It has holes that every source has known for years. A mirror that answers without them would make all look clean.
KNOWN_BAD = "jinja2==2.4.1"
CLEAN, HOLES, UNKNOWN = 0, 1, 2


def main() -> int:
    """Return CLEAN, HOLES, or UNKNOWN when no source knows of holes or not all packages could be looked up."""
    source = next((source for source in SOURCES if knows_of_holes(source)), None)
    if source is None:
        print("audit: NOT DONE. No source of vulnerabilities can be reached: nothing is known, good or bad.")
        return UNKNOWN
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    verdicts = [verdict(source, lock) for lock in locks]
    return max(verdicts)


def knows_of_holes(source: str) -> bool:
    """Whether the source answers, and tells of the holes in KNOWN_BAD."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(KNOWN_BAD)
        file.flush()
        found, said = audit(source, file.name, "--no-deps")
    if any(package.get("vulns") for package in found):
        return True
    print(f"audit: the source {source} tells nothing of {KNOWN_BAD}, which has holes: {last_line(said)}")
    return False


def verdict(source: str, lock: Path) -> int:
    """Look up one file's packages and print what was found."""
    found, said = audit(source, str(lock), "--require-hashes")
    bad = [package for package in found if package.get("vulns")]
    skipped = [package for package in found if "skip_reason" in package]
    for package in bad:
        for hole in package["vulns"]:
            fixed = ", ".join(hole["fix_versions"]) or "no version yet"
            print(f"audit: {lock.name}: {package['name']} {package['version']}: {hole['id']}, fixed in {fixed}")
    for package in skipped:
        print(f"audit: {lock.name}: {package['name']} was not looked up: {package['skip_reason']}")
    if not found:
        print(f"audit: {lock.name}: NOT DONE: {last_line(said)}")
    else:
        print(f"audit: {lock.name}: {len(found)} packages, {len(bad)} with holes, by {source}")
    return UNKNOWN if skipped or not found else HOLES if bad else CLEAN


def audit(source: str, file: str, *options: str) -> tuple[list[dict[str, Any]], str]:
    """Return what pip-audit knows of the packages in a file, none if it could not ask, and what it said."""
    command = [sys.executable, "-m", "pip_audit", "-s", source, "-r", file, "--disable-pip", "-f", "json", *options]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    try:
        return list(json.loads(done.stdout)["dependencies"]), done.stderr
    except ValueError:
        return [], done.stderr


def last_line(text: str) -> str:
    """Return the last line of what a program said."""
    return text.strip().rpartition("\n")[2] or "no answer"


if __name__ == "__main__":
    sys.exit(main())
