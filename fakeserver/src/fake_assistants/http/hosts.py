"""Read and compare host names, as in the Host header."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# A name or an IPv4 address, or an IPv6 address in brackets; then an optional port.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[^\[\]/@?#\s]*)?\]|([^\[\]:/@?#\s,]+))(?::\d{0,5})?")

Address = IPv4Address | IPv6Address


def hostname(host: str) -> str | None:
    """Return the name in a Host header, in lower case, without port, brackets, zone or trailing dot.

    Returns None if the header is malformed.
    """
    found = _HOST.fullmatch(host.strip())
    if found is None:
        return None
    return _plain(found[1] or found[2]) or None


def is_loopback(name: str) -> bool:
    """Return whether a name, as `hostname` returns it, is localhost or a loopback address."""
    address = _address(name)
    return name == "localhost" if address is None else address.is_loopback


def is_same(name: str, other: str) -> bool:
    """Return whether two names are the same: case, zone and trailing dot are ignored, addresses are compared."""
    address = _address(_plain(name))
    return _plain(name) == _plain(other) if address is None else address == _address(_plain(other))


def _plain(name: str) -> str:
    return name.partition("%")[0].lower().removesuffix(".")


def _address(name: str) -> Address | None:
    """Parse an address; None for a name. An IPv4 address mapped into IPv6 is returned as IPv4."""
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
