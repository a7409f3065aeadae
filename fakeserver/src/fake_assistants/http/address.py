"""Check the address of a server that a user gives."""

from urllib.parse import urlsplit


def base_url(given: str) -> str:
    """Return a base URL without the slash at its end. Raises ValueError if it is not a usable base URL."""
    parts = urlsplit(given)
    fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    # A query, a fragment and credentials would not be sent.
    is_sent = not (parts.query or parts.fragment or "@" in parts.netloc)
    if not (fits and is_sent and given.isascii() and given.isprintable()):
        raise ValueError("not a base URL")
    return given.rstrip("/")
