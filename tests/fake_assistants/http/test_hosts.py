"""Names in Host headers: parsed, told from each other, and from this machine."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants.http.hosts import hostname, is_loopback, is_same

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
addresses = st.ip_addresses()
ports = st.none() | st.integers(0, 65535)


def written(name: str, port: int | None) -> str:
    return name if port is None else f"{name}:{port}"


def in_url(address: IPv4Address | IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


@given(names, ports, st.booleans(), st.booleans())
def test_a_name_is_the_same_however_it_is_written(name: str, port: int | None, upper: bool, dotted: bool) -> None:
    """With a port, in capitals, with a dot at its end."""
    spelled = (name.upper() if upper else name) + ("." if dotted else "")
    assert hostname(written(spelled, port)) == name
    assert is_same(name, spelled)


@given(addresses, ports)
def test_an_address_is_the_same_however_it_is_written(address: IPv4Address | IPv6Address, port: int | None) -> None:
    """Short or exploded, in brackets, and as IPv4 within IPv6."""
    name = hostname(written(in_url(address), port))
    assert name is not None
    assert is_same(name, address.exploded)
    if address.version == 4:
        assert is_same(f"::ffff:{address}", name)
    assert is_loopback(name) is (getattr(address, "ipv4_mapped", None) or address).is_loopback


@given(st.text(max_size=12))
def test_any_header_is_a_name_or_malformed(text: str) -> None:
    """Nothing is raised, and a name has nothing in it that a header has round it."""
    name = hostname(text)
    assert name is None or (name != "" and not set(name) & set("[]@/ "))


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.9.9.9:1", "[::1]:8000", "[::ffff:127.0.0.1]"]
)
def test_loopback_has_several_names(host: str) -> None:
    """All of them reach this machine only."""
    assert is_loopback(hostname(host) or "")


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        "localhost:evil",
        "localhost, evil.com",
        "evil@localhost",
        "::1",
        "[::1",
        "[::1]x",
        "[localhost]",
        "a b",
    ],
)
def test_what_is_no_host_is_nobodys(host: str) -> None:
    """Such as two headers in one, or a port that is no number."""
    name = hostname(host)
    assert name is None or not is_loopback(name)


@pytest.mark.parametrize("host", ["localhost.evil.com", "evil.com", "127.0.0.1.nip.io", "evil-localhost", "0.0.0.0"])
def test_other_names_are_not_loopback(host: str) -> None:
    """However near they come."""
    assert not is_loopback(hostname(host) or "")
