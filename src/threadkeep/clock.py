"""The wall clock. Only the command line and the entry points read it; everything else takes the time as a parameter."""

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
