"""`python3 .ci/release_notes.py VERSION` prints the changelog's section of this version."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the section; fail if the version is not the service's and the client's, or has no section."""
    version = sys.argv[1]
    service = re.search(r'^VERSION = "(.*)"$', (ROOT / "shared" / "version.py").read_text("utf-8"), re.MULTILINE)
    client = tomllib.loads((ROOT / "client" / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for file, found in (("shared/version.py", service and service[1]), ("client/pyproject.toml", client)):
        if found != version:
            sys.stderr.write(f"{file} has version {found}, the tag {version}\n")
            return 1
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    section = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not section:
        sys.stderr.write(f"CHANGELOG.md has no section for {version}\n")
        return 1
    print(section[1].strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
