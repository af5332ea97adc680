"""Secrets that webhooks are signed with: `whsec_` and base64, as Standard Webhooks has them; one for each API key."""

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
# Two while the secret is rotated.
MOST = 2
MIN_BYTES, MAX_BYTES = 24, 64


def parse_webhook_secrets(text: str) -> tuple[bytes, ...]:
    """Parse one secret, or two separated by a comma or white space.

    Raises:
        ValueError: an entry has another form. The message does not contain its text.
    """
    entries = text.replace(",", " ").split()
    if not 1 <= len(entries) <= MOST:
        raise ValueError(f"it has {len(entries)} secrets; give one, or two while you rotate it")
    return tuple(_parse(place, entry) for place, entry in enumerate(entries, start=1))


def _parse(place: int, entry: str) -> bytes:
    try:
        secret = base64.b64decode(entry.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not entry.startswith(PREFIX) or not MIN_BYTES <= len(secret) <= MAX_BYTES:
        raise ValueError(f"secret {place} is not whsec_ and {MIN_BYTES} to {MAX_BYTES} random bytes in base64")
    return secret


def secret_of(secret: bytes, owner: str) -> bytes:
    """Return the secret of the API key named `owner`, or for "" the secret itself.

    It is derived, so that no client can sign for another one, and a new key needs no new setting.
    """
    return hmac.digest(secret, f"topthree webhooks of {owner}".encode(), hashlib.sha256) if owner else secret


def spelled(secret: bytes) -> str:
    """Return a secret as receivers configure it."""
    return PREFIX + base64.b64encode(secret).decode()
