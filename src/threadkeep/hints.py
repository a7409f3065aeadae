"""When to ask again, as an answer says it: in its headers, else in its own words. Pure.

The order is the SDK's: ``retry-after-ms``, then ``retry-after`` as seconds or as a date. The API's rate limit told it
in words only (recorded): "Please try again in 20s", and in milliseconds, minutes or hours likewise.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST", "retry_after"]

LONGEST = 900.0
"""Seconds. A server that asks for more is asked again then all the same; nobody sits before a screen for longer."""

_WORDS = re.compile(r"try again in ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def retry_after(headers: Mapping[str, str], words: str) -> float | None:
    """Give the seconds after which to ask again, at most `LONGEST`, or None where nothing usable is said.

    Args:
        headers: of the answer, by names in lower case or whatever their case.
        words: the message of the error.
    """
    said = (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after"), 1.0),
        _until(headers.get("retry-after"), headers.get("date")),
        _spoken(words),
    )
    return next((min(seconds, LONGEST) for seconds in said if seconds is not None and seconds > 0), None)


def _number(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _until(text: str | None, now: str | None) -> float | None:
    """A date counts from the server's own, since the clocks of two machines differ by more than such a wait."""
    then, here = _date(text), _date(now)
    return (then - here).total_seconds() if then and here else None


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text or "").astimezone()
    except (ValueError, OverflowError):
        return None


def _spoken(words: str) -> float | None:
    found = _WORDS.search(words)
    if found is None:
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(found[1]))
