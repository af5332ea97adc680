"""Tells whether a host is the machine that this program runs on."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether the host of a URL, a name or an address without brackets, never leads to another machine."""
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
