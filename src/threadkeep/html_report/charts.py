"""Counts as charts: where the bars and the ticks stand. Pure numbers and short words; a template draws them.

A chart is drawn in a box of `WIDTH` by `HEIGHT` that may be stretched; y grows downwards, as in SVG. Whatever the
counts are, a chart has at most `MOST_BARS` bars, and what has no bar is said in its note.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import attrs

__all__ = ["HEIGHT", "MOST_BARS", "WIDTH", "Bar", "Chart", "Tick", "histogram", "timeline"]

WIDTH, HEIGHT = 1000, 200
MOST_BARS = 60

_MOST_LABELS, _MOST_TICKS, _MOST_ASIDE = 6, 5, 6
_FILLED, _MOST_WIDTH, _LEAST_HEIGHT = 0.8, 120.0, 2.0
_MOST_SINGLE_SIZES = 12
# Months are put aside only where few messages are: else the bars are years.
_MOST_ASIDE_SHARE = 0.05


@attrs.frozen(kw_only=True)
class Bar:
    """One bar, and what it stands for. One that counts nothing has no height."""

    label: str
    count: int
    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Tick:
    """A label on an axis, and where it stands, in hundredths of the axis: from the left, or from the bottom."""

    label: str
    at: float


@attrs.frozen(kw_only=True)
class Chart:
    """A chart.

    Attributes:
        unit: what each bar stands for: "month", "year", "messages".
        bars: from the left to the right, without gaps between what they stand for.
        x_ticks: labels below some of the bars.
        y_ticks: labels of the counts, from the bottom.
        summary: what it shows, in a sentence.
        note: what it does not show; None when it shows everything.
    """

    unit: str
    bars: tuple[Bar, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    summary: str
    note: str | None = None


def timeline(months: Mapping[str, int]) -> Chart | None:
    """Draw how many messages each month has; months without messages between others are bars without height.

    Where the months reach further than there may be bars, those in which few messages stand are put aside, or else the
    bars are years.

    Args:
        months: by "2026-03".

    Returns:
        None when there is nothing to draw.
    """
    placed = {place: count for name, count in months.items() if (place := _month(name)) is not None and count > 0}
    if not placed:
        return None
    begin, end = _fullest(placed)
    aside = {place: count for place, count in sorted(placed.items()) if not begin <= place < end}
    if sum(aside.values()) > _MOST_ASIDE_SHARE * sum(placed.values()):
        return _years(placed)
    counts = [(_month_name(place), placed.get(place, 0)) for place in range(begin, end)]
    return _time_chart("month", counts, [(_month_name(place), count) for place, count in aside.items()])


def histogram(sizes: Mapping[int, int]) -> Chart | None:
    """Draw how many threads have how many messages: each number a bar where they are close, else doubling ranges.

    Args:
        sizes: how many threads, by the number of messages.

    Returns:
        None when there is nothing to draw.
    """
    found = {size: count for size, count in sizes.items() if count > 0 and size >= 0}
    if not found:
        return None
    first, last = min(found), max(found)
    edges = _edges(first, last)
    counts = Counter[int]()
    for size, count in found.items():
        counts[bisect_right(edges, size) - 1] += count
    rows = [(_range_name(begin, end), counts[place]) for place, (begin, end) in enumerate(pairwise(edges))]
    threads = sum(found.values())
    summary = f"{threads:,} {'thread has' if threads == 1 else 'threads have'} {_reach(first, last)} each."
    return _chart("messages", rows, summary, None)


def _reach(first: int, last: int) -> str:
    if first == last:
        return f"{first:,} message{'' if first == 1 else 's'}"
    return f"{first:,} to {last:,} messages"


def _month(name: str) -> int | None:
    """Count a month from the year 0; None for what is none."""
    found = re.fullmatch(r"([0-9]{4,6})-(0[1-9]|1[0-2])", name)
    return int(found[1]) * 12 + int(found[2]) - 1 if found else None


def _month_name(place: int) -> str:
    return f"{place // 12:04}-{place % 12 + 1:02}"


def _fullest(counts: Mapping[int, int]) -> tuple[int, int]:
    """Find the stretch with the most messages that is no longer than there may be bars; of such the first."""
    places, best, most, begin, inside = sorted(counts), (0, 0), 0, 0, 0
    for place in places:
        inside += counts[place]
        while places[begin] <= place - MOST_BARS:
            inside -= counts[places[begin]]
            begin += 1
        if inside > most:
            best, most = (places[begin], place + 1), inside
    return best


def _years(months: Mapping[int, int]) -> Chart:
    years = Counter[int]()
    for place, count in months.items():
        years[place // 12] += count
    begin, end = _fullest(years)
    aside = [(f"{year:04}", count) for year, count in sorted(years.items()) if not begin <= year < end]
    return _time_chart("year", [(f"{year:04}", years[year]) for year in range(begin, end)], aside)


def _time_chart(unit: str, counts: Sequence[tuple[str, int]], aside: Sequence[tuple[str, int]]) -> Chart:
    most = max(counts, key=lambda row: row[1])
    total = sum(count for _, count in counts)
    messages = f"{total:,} message{'' if total == 1 else 's'}"
    summary = f"{messages} in {counts[0][0]}."
    if len(counts) > 1:
        summary = f"{messages} from {counts[0][0]} to {counts[-1][0]}; the most, {most[1]:,}, in {most[0]}."
    return _chart(unit, counts, summary, _aside_note(aside))


def _aside_note(aside: Sequence[tuple[str, int]]) -> str | None:
    if not aside:
        return None
    named = [f"{name} ({count:,})" for name, count in aside[:_MOST_ASIDE]]
    more = [f"{len(aside) - _MOST_ASIDE:,} more"] if len(aside) > _MOST_ASIDE else []
    total = sum(count for _, count in aside)
    return (
        f"Not drawn, because too far away: {total:,} message{'' if total == 1 else 's'} in {', '.join(named + more)}."
    )


def _edges(first: int, last: int) -> list[int]:
    """Where the ranges begin, and behind the last one where it ends."""
    if last - first < _MOST_SINGLE_SIZES:
        return list(range(first, last + 2))
    doubling = [0, *(2**power for power in range(last.bit_length() + 1))]
    return doubling[bisect_right(doubling, first) - 1 :]


def _range_name(begin: int, end: int) -> str:
    return f"{begin:,}" if end - begin == 1 else f"{begin:,}–{end - 1:,}"


def _chart(unit: str, counts: Sequence[tuple[str, int]], summary: str, note: str | None) -> Chart:
    step = _step(max(count for _, count in counts))
    top = -(-max(count for _, count in counts) // step) * step
    return Chart(
        unit=unit,
        bars=tuple(_bars(counts, top)),
        x_ticks=tuple(_x_ticks([name for name, _ in counts])),
        y_ticks=tuple(Tick(f"{count:,}", 100 * count / top) for count in range(0, top + 1, step)),
        summary=summary,
        note=note,
    )


def _step(most: int) -> int:
    """The least of 1, 2, 5, 10, 20, … with which few ticks reach the highest count."""
    return next(step for step in _steps() if most <= step * _MOST_TICKS)


def _steps() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def _bars(counts: Sequence[tuple[str, int]], top: int) -> Iterator[Bar]:
    room = WIDTH / len(counts)
    width = min(room * _FILLED, _MOST_WIDTH)
    for place, (label, count) in enumerate(counts):
        height = max(_LEAST_HEIGHT, HEIGHT * count / top) if count else 0.0
        yield Bar(
            label=label,
            count=count,
            x=round((place + 0.5) * room - width / 2, 2),
            y=round(HEIGHT - height, 2),
            width=round(width, 2),
            height=round(height, 2),
        )


def _x_ticks(names: Sequence[str]) -> Iterator[Tick]:
    """Name every so many bars, beginning with the first."""
    every = -(-len(names) // _MOST_LABELS)
    for place in range(0, len(names), every):
        yield Tick(_short(names[place]), round(100 * (place + 0.5) / len(names), 2))


def _short(name: str) -> str:
    """Name a range by its beginning alone where its name is too long for an axis."""
    if len(name) <= _LONGEST_LABEL:
        return name
    begin = float(name.partition("–")[0].replace(",", ""))
    if begin < _LEAST_SHORTENED:
        return f"{begin:,.0f}+"
    power = 0
    while begin >= 1000 and power < len(_POWERS) - 1:
        begin, power = begin / 1000, power + 1
    return f"{begin:,.1f}{_POWERS[power]}+"


_LONGEST_LABEL, _LEAST_SHORTENED, _POWERS = 9, 10_000, " kMGTP"
