"""The environment variables of the processes of `make run`."""

from collections.abc import Mapping


def with_settings(environ: Mapping[str, str], **settings: str) -> dict[str, str]:
    """Return the environment with these settings, which replace all variants (prefix `TOPTHREE_`, suffix `_FILE`)."""
    forms = {f"{prefix}{name}{ending}" for name in settings for prefix in ("TOPTHREE_", "") for ending in ("", "_FILE")}
    return {name: value for name, value in environ.items() if name not in forms} | settings
