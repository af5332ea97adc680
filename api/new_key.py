"""`python -m api.new_key NAME`: generates an API key and prints it with its entry for `API_KEYS`."""

import secrets
import sys

from shared.api_keys import NAME, digest_of

# Makes keys easy to recognize, for people and for secret scanners.
PREFIX = "topthree_"
KEY_BYTES = 32


def main(arguments: list[str]) -> int:
    """Print a new key for the name in `arguments`; return the exit code."""
    if len(arguments) != 1 or not NAME.fullmatch(arguments[0]):
        sys.stderr.write("Give a name: a letter, then up to 63 letters, digits, `.`, `_` or `-`.\n")
        return 2
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    sys.stdout.write(
        f"The key for the client; it is not shown again:\n  {key}\n"
        f"Add this entry to API_KEYS:\n  {arguments[0]}:{digest_of(key)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
