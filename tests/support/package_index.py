"""A package index in a folder, with wheels that have a name, a version and requirements, but no files."""

import hashlib
import re
import shutil
import zipfile
from pathlib import Path

NEWER = "9999.0"


class PackageIndex:
    """Serves wheels to pip as PIP_INDEX_URL; the methods that add one return its line for a lock file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    @property
    def url(self) -> str:
        return self._folder.as_uri()

    def add(self, name: str, version: str, *requirements: str) -> str:
        """Add a wheel without files."""
        stem = f"{name.replace('-', '_')}-{version}"
        required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
        files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "".join(f"{stem}.dist-info/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
        }
        wheel = self._page_of(name) / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in files.items():
                archive.writestr(f"{stem}.dist-info/{file}", text)
        return self._link(wheel)

    def add_file(self, wheel: Path) -> str:
        """Add a copy of a wheel."""
        return self._link(shutil.copy2(wheel, self._page_of(wheel.name.partition("-")[0]) / wheel.name))

    def add_newer_releases(self, lock: str) -> None:
        """Add a newer release of every package in a lock file."""
        for name in set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)):
            self.add(name, NEWER)

    def _page_of(self, name: str) -> Path:
        page = self._folder / name.replace("_", "-")
        page.mkdir(exist_ok=True)
        return page

    def _link(self, wheel: Path) -> str:
        with (wheel.parent / "index.html").open("a", encoding="utf-8") as page:
            page.write(f'<a href="{wheel.name}">{wheel.name}</a>\n')
        version = wheel.name.split("-")[1]
        return f"{wheel.parent.name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
