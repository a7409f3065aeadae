"""The wait that a server asks for before a retry."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.error_mapping import MAX_WAIT
from threadkeep.api.error_mapping import retry_after as retry_after_at

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
SECONDS = st.floats(0.001, MAX_WAIT)


def retry_after(headers: dict[str, str], message: str) -> float | None:
    """The wait that is asked for at noon."""
    return retry_after_at(headers, message, NOON)


@given(seconds=SECONDS)
def test_seconds_and_milliseconds_are_understood(seconds: float) -> None:
    """To the millisecond and below."""
    assert retry_after({"retry-after": repr(seconds)}, "") == seconds
    assert retry_after({"retry-after-ms": repr(seconds * 1000)}, "") == pytest.approx(seconds)


@given(seconds=st.integers(1, int(MAX_WAIT)))
def test_a_date_counts_from_the_servers_own(seconds: int) -> None:
    """The clock of this machine does not matter, unless the answer has no date."""
    then, date = (format_datetime(NOON + timedelta(seconds=one), usegmt=True) for one in (seconds, -3600))
    assert retry_after({"retry-after": then, "date": date}, "") == min(seconds + 3600, MAX_WAIT)
    assert retry_after({"retry-after": then, "date": "once"}, "") == seconds
    assert retry_after({"retry-after": then}, "") == seconds


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [("20s", 20), ("6ms", 0.006), ("1m2s", 62), ("1.182s", 1.182), ("14m52.666s", 892.666), ("20m52.666s", MAX_WAIT)],
)
def test_the_words_of_the_api_are_understood(hint: str, seconds: float) -> None:
    """Recorded: the hint of a rate limit is in the message."""
    words = f"Rate limit reached: Limit 3, Used 3, Requested 1. Please try again in {hint}. Visit https://here/"
    assert retry_after({}, words) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("You have exceeded the call rate limit of your pricing tier. Please retry after 60 seconds.", 60),
        ("Please retry after 1 second.", 1),
        ("Please try again in 1 minute and 30 seconds", 90),
        ("Too many requests, wait 2 min before you ask.", 120),
        ("Retry in 1h", MAX_WAIT),
        ("Wait for 1.5 secs", 1.5),
        ("try again in 5 months", None),
        ("20 seconds have passed", None),
    ],
)
def test_the_words_of_other_servers_are_understood(words: str, seconds: float | None) -> None:
    """Azure's (quoted), and what else people write."""
    assert retry_after({}, words) == seconds


def test_the_most_exact_hint_counts() -> None:
    """Milliseconds, then seconds, then words; what is not usable is ignored."""
    words = "Please try again in 20s."
    assert retry_after({"retry-after-ms": "1500", "retry-after": "2"}, words) == 1.5
    assert retry_after({"retry-after-ms": "soon", "retry-after": "2"}, words) == 2
    assert retry_after({"retry-after": "-1"}, words) == 20


@given(text=st.text(max_size=20), words=st.text())
def test_nonsense_is_no_hint(text: str, words: str) -> None:
    """Whatever the headers are, the hint is None or a number of seconds within bounds."""
    found = retry_after({"retry-after-ms": text, "retry-after": text, "date": text}, words)
    assert found is None or 0 < found <= MAX_WAIT


@pytest.mark.parametrize("text", ["0", "nan", "inf", "-inf", "", "Tue, 99 Foo 2026"])
def test_no_time_at_all_is_no_hint(text: str) -> None:
    """Nought, infinity and what is no date."""
    assert retry_after({"retry-after": text, "retry-after-ms": text}, "") is None
