"""The version of this package, from its metadata."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "topthree-client"


def package_version() -> str:
    """Return the version, such as "0.1.0"; "unknown" if the package runs from a folder without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
