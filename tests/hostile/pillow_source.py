"""The test images of Pillow, from its source package on PyPI; they are fetched once and kept."""

import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import PurePath

from shared.images.formats import FORMATS
from tests.hostile.case import Case, given
from tests.support.repository import ROOT

VERSION = "13.0.0"
SHA256 = "cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510"
# Not part of the repository.
CACHE = ROOT / "artifacts" / "pillow-source"
ARCHIVE = CACHE / f"pillow-{VERSION}.tar.gz"
IMAGES = f"pillow-{VERSION}/Tests/images/"
FETCH_SECONDS = 300
# By the suffixes of its images, of which some are not those of pictures elsewhere.
KINDS = {".mpo": "JPEG", ".apng": "PNG", ".dib": "BMP"} | {
    suffix: each.pillow for each in FORMATS for suffix in each.suffixes
}


class NotFetched(Exception):
    """The source package is neither kept nor to be had; the sentence says why."""


def fetch() -> None:
    """Have the source package in the cache.

    Raises:
        NotFetched: the network does not have it, or it is another one.
    """
    if not ARCHIVE.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"),
            *("--no-binary", "pillow", "--dest", str(CACHE), f"pillow=={VERSION}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise NotFetched(f"Pillow's source package, with its test images, cannot be had here: {reason}")
    digest = hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()
    if digest != SHA256:
        raise NotFetched(f"{ARCHIVE} has the sha256 {digest}, wanted is {SHA256}: remove it and try again.")


def images() -> Iterator[Case]:
    """Yield every file among Pillow's test images, those of other formats and of none too; raises as `fetch`."""
    fetch()
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.startswith(IMAGES) else None
            if file:
                data, name = file.read(), member.name.removeprefix(IMAGES)
                kind = KINDS.get(PurePath(name).suffix.lower(), "none")
                yield Case(kind, f"Pillow's {name}", given(data), file_name=name.rpartition("/")[2])
