"""Names of hosts, as the Host header carries them."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

# A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)(?:%[^\[\]/@?#\s]*)?\]|([^\[\]:/@?#\s,]+))(?::\d{0,5})?")

Address = IPv4Address | IPv6Address


def hostname(host: str) -> str | None:
    """The name in a Host header, in lower case, without port, brackets, zone or trailing dot; None if malformed."""
    found = _HOST.fullmatch(host.strip())
    if found is None:
        return None
    return _plain(found[1] or found[2]) or None


def is_loopback(name: str) -> bool:
    """Whether a name, as `hostname` returns it, means this machine to every client: localhost, or such an address."""
    address = _address(name)
    return name == "localhost" if address is None else address.is_loopback


def is_same(name: str, other: str) -> bool:
    """Whether two names are one: equal but for case, zone and a trailing dot, or spellings of one address."""
    address = _address(_plain(name))
    return _plain(name) == _plain(other) if address is None else address == _address(_plain(other))


def _plain(name: str) -> str:
    return name.partition("%")[0].lower().removesuffix(".")


def _address(name: str) -> Address | None:
    """An IPv6 address that wraps one of IPv4 is that."""
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
