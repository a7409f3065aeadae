"""Charts: everything is counted once, there are never too many rows, and bars are as long as counts are high."""

from hypothesis import given
from hypothesis import strategies as st

from threadkeep.html_report.page import MOST_BARS, Chart, histogram, timeline

MONTHS = st.dictionaries(
    st.one_of(
        st.builds("{:04}-{:02}".format, st.integers(2023, 2027), st.integers(1, 12)),
        st.builds("{:04}-{:02}".format, st.integers(1, 9999), st.integers(1, 12)),
    ),
    st.integers(1, 10**9),
    max_size=200,
)
SIZES = st.dictionaries(st.one_of(st.integers(0, 30), st.integers(0, 10**12)), st.integers(1, 10**9))


def check(chart: Chart) -> Chart:
    """Check what every chart must be."""
    assert len(chart.rows) <= MOST_BARS
    assert all(row.count > 0 and 0 < row.length <= 100 for row in chart.rows)
    lengths = [row.length for row in sorted(chart.rows, key=lambda row: row.count)]
    assert lengths == sorted(lengths)
    assert not lengths or lengths[-1] == 100
    assert len({row.label for row in chart.rows}) == len(chart.rows)
    return chart


@given(MONTHS)
def test_every_message_is_in_a_row_or_left_out(months: dict[str, int]) -> None:
    """In its month, or in its year."""
    chart = check(timeline(months))
    assert sum(row.count for row in chart.rows) + chart.left_out == sum(months.values())
    for row in chart.rows:
        assert row.count == sum(count for month, count in months.items() if month.startswith(row.label))
    assert [row.label for row in chart.rows] == sorted(row.label for row in chart.rows)
    assert {len(row.label) for row in chart.rows} <= {7 if chart.unit == "month" else 4}


@given(SIZES)
def test_every_thread_is_counted_once(sizes: dict[int, int]) -> None:
    """In the one range that holds its number of messages."""
    chart = check(histogram(sizes))
    for row in chart.rows:
        begin, _, end = row.label.replace(",", "").partition("–")
        assert row.count == sum(count for size, count in sizes.items() if int(begin) <= size <= int(end or begin))
    assert sum(row.count for row in chart.rows) == sum(sizes.values())


def test_close_sizes_have_rows_of_their_own_and_far_ones_double() -> None:
    """Without rows that count nothing."""
    assert [row.label for row in histogram({3: 5, 6: 1}).rows] == ["3", "6"]
    assert [row.label for row in histogram({0: 1, 3: 5, 20: 1}).rows] == ["0", "2–3", "16–31"]
