"""Checks whether a host is the local machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a URL's host (a name, or an address without brackets) is always the local machine."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    # Connecting to 0.0.0.0 or :: connects to this machine too.
    return (mapped or address).is_loopback or address.is_unspecified
