"""Count for the charts of a page: rows with a label, a count and the length of a bar. A template draws them."""

from collections import Counter
from collections.abc import Mapping

import attrs

__all__ = ["MOST_ROWS", "Chart", "ChartRow", "histogram", "rows", "timeline"]

MOST_ROWS = 60

_MOST_SINGLE_SIZES = 12


@attrs.frozen
class ChartRow:
    """A row of a chart. Its bar has ``length`` hundredths of the longest one, or a little where it counts anything."""

    label: str
    count: int
    length: float


@attrs.frozen
class Chart:
    """A chart whose labels are of a unit: "month", "year", "messages". What counts nothing has no row; ``left_out`` is
    the sum of the counts that are not drawn.
    """

    unit: str
    rows: tuple[ChartRow, ...]
    left_out: int = 0


def rows(counts: Mapping[str, int], longest: int | None = None) -> tuple[ChartRow, ...]:
    """Return the rows of these counts, in their order; ``longest`` is the count of a full bar, if not the highest."""
    longest = longest or max(counts.values(), default=1)
    return tuple(
        ChartRow(label, count, max(round(100 * count / longest, 2), 0.5)) for label, count in counts.items() if count
    )


def timeline(months: Mapping[str, int]) -> Chart:
    """Count messages by month ("2026-03"); by year if there are too many; in the years with the most if still so."""
    if len(months) <= MOST_ROWS:
        return Chart("month", rows(dict(sorted(months.items()))))
    years = Counter[str]()
    for month, count in months.items():
        years[month[:4]] += count
    shown = dict(sorted(years.most_common(MOST_ROWS)))
    return Chart("year", rows(shown), years.total() - sum(shown.values()))


def histogram(sizes: Mapping[int, int]) -> Chart:
    """Count threads by their number of messages: each number for itself if they are close, or else doubling ranges."""
    is_close = bool(sizes) and max(sizes) - min(sizes) < _MOST_SINGLE_SIZES
    counts = Counter[int]()
    for size, count in sizes.items():
        counts[size if is_close or not size else 2 ** (size.bit_length() - 1)] += count
    ends = {begin: begin if is_close else max(2 * begin - 1, 0) for begin in counts}
    labels = {begin: f"{begin:,}" if end == begin else f"{begin:,}–{end:,}" for begin, end in ends.items()}
    return Chart("messages", rows({labels[begin]: count for begin, count in sorted(counts.items())}))
