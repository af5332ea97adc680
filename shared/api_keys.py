"""API keys in the settings: the name of the owner, and the digest of the key."""

import hashlib
import re
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ApiKey:
    """One key: the name of its owner, and its SHA-256 in hexadecimal. The key itself is not stored."""

    name: str
    sha256: str


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal.

    A salt or a slow hash is not needed: keys are random (`api/new_key.py`), so they cannot be guessed.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def parse_api_keys(text: str) -> tuple[ApiKey, ...]:
    """Parse `name:sha256` entries separated by commas or white space; a name may have several keys.

    Raises:
        ValueError: an entry has another form, a key occurs twice, or there is no entry. The message has the number of
            the entry but not its text, which may be a key.
    """
    entries = text.replace(",", " ").split()
    if not entries:
        raise ValueError("it has no entries; leave it empty to require no keys")
    found: dict[str, ApiKey] = {}
    for place, entry in enumerate(entries, start=1):
        name, _, digest = entry.partition(":")
        if not (NAME.fullmatch(name) and _DIGEST.fullmatch(digest)):
            raise ValueError(f"entry {place} of {len(entries)} is not name:sha256; `make key NAME=name` makes one")
        if digest in found:
            raise ValueError(f"entry {place} of {len(entries)} repeats the key of an earlier entry")
        found[digest] = ApiKey(name, digest)
    return tuple(found.values())
