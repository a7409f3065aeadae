"""The wall clock, read at the edges only: everything else takes the time as a parameter."""

from datetime import UTC, datetime

__all__ = ["now"]


def now() -> datetime:
    """Give the time, in UTC."""
    return datetime.now(UTC)
