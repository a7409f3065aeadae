"""Charts: every count is drawn or named, every bar is in its box, and there are never too many."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.html_report.charts import HEIGHT, MOST_BARS, WIDTH, Chart, histogram, timeline

MONTHS = st.dictionaries(
    st.one_of(
        st.builds("{:04}-{:02}".format, st.integers(2023, 2027), st.integers(1, 12)),
        st.builds("{:04}-{:02}".format, st.integers(0, 9999), st.integers(1, 12)),
    ),
    st.integers(1, 10**9),
    min_size=1,
)
SIZES = st.dictionaries(st.one_of(st.integers(0, 30), st.integers(0, 10**12)), st.integers(1, 10**9), min_size=1)


def check(chart: Chart | None) -> Chart:
    """Hold a chart to what holds for all of them."""
    assert chart is not None
    assert 0 < len(chart.bars) <= MOST_BARS
    for one in chart.bars:
        assert one.x >= 0
        assert one.x + one.width <= WIDTH + 0.02
        assert one.width > 0
        assert 0 <= one.y <= HEIGHT
        assert abs(one.y + one.height - HEIGHT) < 0.02
        assert (one.height > 0) is (one.count > 0)
    assert all(left.x + left.width <= right.x for left, right in pairwise(chart.bars))
    heights = [one.height for one in sorted(chart.bars, key=lambda one: one.count)]
    assert heights == sorted(heights)
    assert len({one.label for one in chart.bars}) == len(chart.bars)
    assert 1 <= len(chart.x_ticks) <= 6
    assert chart.y_ticks[0].label == "0"
    assert 2 <= len(chart.y_ticks) <= 6
    assert chart.y_ticks[-1].at == 100
    assert int(chart.y_ticks[-1].label.replace(",", "")) >= max(one.count for one in chart.bars)
    return chart


def aside(chart: Chart) -> int:
    """How many messages a chart says that it does not draw."""
    found = re.search(r"too far away: ([\d,]+) message", chart.note or "")
    return int(found[1].replace(",", "")) if found else 0


@given(MONTHS)
def test_every_message_is_drawn_or_put_aside(months: dict[str, int]) -> None:
    """In its month, or in its year; the bars are without gaps."""
    chart = check(timeline(months))
    assert sum(one.count for one in chart.bars) + aside(chart) == sum(months.values())
    for one in chart.bars:
        assert one.count == sum(count for month, count in months.items() if month.startswith(one.label))
    per = 12 if chart.unit == "month" else 1
    places = [int(one.label[:4]) * per + int(one.label[5:] or 1) for one in chart.bars]
    assert places == list(range(places[0], places[0] + len(places)))
    assert chart.bars[0].count > 0
    assert chart.bars[-1].count > 0


@given(SIZES)
def test_every_thread_is_counted_once(sizes: dict[int, int]) -> None:
    """In the one range that holds its number of messages."""
    chart = check(histogram(sizes))
    assert chart.note is None
    for one in chart.bars:
        begin, _, end = one.label.replace(",", "").partition("–")
        held = range(int(begin), int(end or begin) + 1)
        assert one.count == sum(count for size, count in sizes.items() if size in held)
    assert sum(one.count for one in chart.bars) == sum(sizes.values())


@pytest.mark.parametrize("months", [{}, {"2026-03": 0}, {"never": 1, "2026-13": 1}])
def test_where_there_is_no_month_there_is_no_timeline(months: dict[str, int]) -> None:
    """And nothing to draw."""
    assert timeline(months) is None


@pytest.mark.parametrize("sizes", [{}, {3: 0}, {-1: 1}])
def test_where_there_is_no_thread_there_is_no_histogram(sizes: dict[int, int]) -> None:
    """And nothing to draw."""
    assert histogram(sizes) is None


def test_months_without_messages_are_shown_as_empty() -> None:
    """Between others, and nowhere else."""
    chart = check(timeline({"2025-11": 4, "2026-02": 2}))
    assert [(one.label, one.count) for one in chart.bars] == [
        ("2025-11", 4),
        ("2025-12", 0),
        ("2026-01", 0),
        ("2026-02", 2),
    ]
    assert chart.summary == "6 messages from 2025-11 to 2026-02; the most, 4, in 2025-11."
    assert check(timeline({"2025-11": 1})).summary == "1 message in 2025-11."


def test_a_few_messages_far_away_are_put_aside() -> None:
    """The months stay months, and the others are named; where they are many, the first of them."""
    near = {f"2026-{month:02}": 100 for month in range(1, 13)}
    chart = check(timeline({"1970-01": 1, **near, "2106-02": 2}))
    assert (chart.unit, len(chart.bars)) == ("month", 12)
    assert chart.note == "Not drawn, because too far away: 3 messages in 1970-01 (1), 2106-02 (2)."
    chart = check(timeline({f"{year}-01": 1 for year in range(1900, 1909)} | {"2026-01": 1_000}))
    assert chart.note is not None
    assert chart.note.endswith("1905-01 (1), 3 more.")
    assert "1 message in 1970-01 (1)" in (check(timeline({"1970-01": 1, "2026-01": 100})).note or "")


def test_many_messages_far_away_make_years_of_the_months() -> None:
    """Of which there are not too many either."""
    chart = check(timeline({"1970-01": 50, "1970-02": 5, "2020-01": 60}))
    assert (chart.unit, len(chart.bars), chart.note) == ("year", 51, None)
    chart = check(timeline({"1970-01": 50, "2106-02": 60}))
    assert [one.label for one in chart.bars] == ["2106"]
    assert chart.note == "Not drawn, because too far away: 50 messages in 1970 (50)."


def test_close_sizes_are_told_apart_and_far_ones_double() -> None:
    """Each number its own bar, or ranges that double, without those below the first."""
    assert [one.label for one in check(histogram({3: 5, 6: 1})).bars] == ["3", "4", "5", "6"]
    assert [one.label for one in check(histogram({3: 5, 20: 1})).bars] == ["2–3", "4–7", "8–15", "16–31"]
    assert [one.label for one in check(histogram({0: 5, 1_000: 1})).bars][:3] == ["0", "1", "2–3"]
    ticks = check(histogram({0: 1, 10**12: 1})).x_ticks
    assert [tick.label for tick in ticks] == ["0", "64–127", "8,192+", "1.0M+", "134.2M+", "17.2G+"]
    assert [tick.label for tick in check(histogram({10**19: 1})).x_ticks] == ["10,000.0P+"]
    assert check(histogram({1: 1})).summary == "1 thread has 1 message each."
    assert check(histogram({0: 2})).summary == "2 threads have 0 messages each."
    assert check(histogram({1: 1, 4: 1})).summary == "2 threads have 1 to 4 messages each."
