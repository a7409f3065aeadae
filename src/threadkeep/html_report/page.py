"""A report as one HTML page that needs nothing else: no script, no network, no other file.

Everything that comes from an export is foreign: it is escaped, made visible (see
`threadkeep.html_report.visible_text`), cut if it is long, and in no attribute. Anchors are numbered.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, groupby

import attrs
import jinja2
from markupsafe import Markup

from threadkeep.html_report.excerpts import Conversation
from threadkeep.html_report.visible_text import cut, marked, visible
from threadkeep.storage.index import Outcome
from threadkeep.validation.findings import KINDS, Finding, Severity, gravest
from threadkeep.validation.report import ValidationReport

__all__ = ["MOST_BARS", "MOST_IDS", "MOST_ROWS", "Chart", "ChartRow", "histogram", "render", "timeline"]

MOST_IDS, MOST_ROWS, MOST_BARS = 500, 200, 60
"""How many ids of threads to fetch again the page lists, how many findings of one code, and how many bars of a chart.
"""

_MOST_SINGLE_SIZES, _MOST_INCOMPLETE = 12, 40
_MOST_OF_A_WORD, _MOST_OF_A_SENTENCE = 120, 1_000

_SIGNS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "i"}

_OUTCOMES: Mapping[str, str] = {
    Outcome.COMPLETE: "all their messages are in the export",
    Outcome.PARTIAL: "cut off in the middle; the pages that came are in the partial file",
    Outcome.FAILED: "no usable answer after every retry",
    Outcome.MISSING: "the API knows no such thread",
    Outcome.UNFINISHED: "they were not asked for yet",
    Outcome.DROPPED: "not wanted any more",
}

# The findings about threads that are not complete.
_INCOMPLETE = {
    "thread_failed": "failed",
    "thread_partial": "partial",
    "thread_unfinished": "unfinished",
    "thread_missing": "missing",
    "lost_thread": "lost",
    "digest_mismatch": "damaged",
    "not_exported": "not exported",
}


def render(
    report: ValidationReport,
    conversations: Sequence[Conversation],
    *,
    made_at: str,
    version: str,
    steps: Sequence[str] = (),
) -> str:
    """Write a report as an HTML page that can be encoded as UTF-8, whatever the export holds.

    Args:
        report: of validate.
        conversations: see `threadkeep.html_report.excerpts.excerpts`; of the same report.
        made_at: when, for a person.
        version: of threadkeep.
        steps: what to do next, a line each. A line that begins with two blanks is a command.
    """
    outcomes = {str(one): (report.outcomes or {}).get(one, 0) for one in _OUTCOMES}
    listed = list(_rows(report, conversations))
    about = defaultdict[_Place, list[_Row]](list)
    for row in listed:
        for place in {row.place, (row.place[0], None)} - {(None, None)}:
            about[place].append(row)
    return _PAGES.get_template("page.html.jinja").render(
        report=report,
        rows=listed,
        about=lambda thread_id, line=None: about.get((thread_id, line), []),
        outcomes=[(row, _OUTCOMES[row.label]) for row in _chart_rows(outcomes, sum(outcomes.values()))],
        timeline=timeline(report.months),
        histogram=histogram(report.sizes),
        threads=conversations,
        named=len({one.thread_id for one in report.findings if one.thread_id is not None}),
        made_at=made_at,
        version=version,
        most_ids=MOST_IDS,
        steps=steps,
        incomplete=[row for row in listed if row.finding.code in _INCOMPLETE and row.finding.thread_id is not None],
        not_complete=sum(report.counts.get(code, 0) for code in _INCOMPLETE) - len(_of_files(listed)),
        most_incomplete=_MOST_INCOMPLETE,
    )


_Place = tuple[str | None, int | None]  # a thread, and the number of a line of OUT, or None for the thread itself


@attrs.frozen
class _Row:
    """A finding on the page: its number, the place it is about, and the anchor of that place, if it is shown."""

    number: int
    finding: Finding
    place: _Place
    anchor: str | None


def _of_files(rows: Sequence[_Row]) -> list[_Row]:
    """Return the rows of findings that are about files, and about no thread."""
    return [row for row in rows if row.finding.code in _INCOMPLETE and row.finding.thread_id is None]


def _rows(report: ValidationReport, conversations: Sequence[Conversation]) -> Iterator[_Row]:
    anchors: dict[_Place, str] = {}
    for number, one in enumerate(conversations, 1):
        anchors |= {(one.thread_id, shown.line): f"thread-{number}-line-{shown.line}" for shown in one.messages}
        if one.thread_id is not None:
            anchors[one.thread_id, None] = f"thread-{number}"
    listed = chain.from_iterable(own[:MOST_ROWS] for own in report.by_code().values())
    for number, found in enumerate(listed, 1):
        place = (found.thread_id, found.line if found.file == report.out.name else None)
        yield _Row(number, found, place, anchors.get(place) or anchors.get((found.thread_id, None)))


# --- charts: rows with a label, a count and the length of a bar, which a template draws


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


def timeline(months: Mapping[str, int]) -> Chart:
    """Count messages by month ("2026-03"); by year if there are too many; in the years with the most if still so."""
    if len(months) <= MOST_BARS:
        return Chart("month", _chart_rows(dict(sorted(months.items()))))
    years = Counter[str]()
    for month, count in months.items():
        years[month[:4]] += count
    shown = dict(sorted(years.most_common(MOST_BARS)))
    return Chart("year", _chart_rows(shown), years.total() - sum(shown.values()))


def histogram(sizes: Mapping[int, int]) -> Chart:
    """Count threads by their number of messages: each number for itself if they are close, or else doubling ranges."""
    is_close = bool(sizes) and max(sizes) - min(sizes) < _MOST_SINGLE_SIZES
    counts = Counter[int]()
    for size, count in sizes.items():
        counts[size if is_close or not size else 2 ** (size.bit_length() - 1)] += count
    ends = {begin: begin if is_close else max(2 * begin - 1, 0) for begin in counts}
    labels = {begin: f"{begin:,}" if end == begin else f"{begin:,}–{end:,}" for begin, end in ends.items()}
    return Chart("messages", _chart_rows({labels[begin]: count for begin, count in sorted(counts.items())}))


def _chart_rows(counts: Mapping[str, int], longest: int = 0) -> tuple[ChartRow, ...]:
    """The rows of these counts, in their order; ``longest`` is the count of a full bar, if not the highest."""
    longest = longest or max(counts.values(), default=1)
    return tuple(
        ChartRow(label, count, max(round(100 * count / longest, 2), 0.5)) for label, count in counts.items() if count
    )


# --- what the template calls


def _when(seconds: int) -> str:
    """Write a time as a person reads it; a number that is no time of the calendar as it is."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{cut(str(seconds), 20)} seconds after 1970"


_PAGES = jinja2.Environment(
    loader=jinja2.PackageLoader("threadkeep.html_report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters |= {
    "foreign": marked,
    "visible": visible,
    "word": lambda text: Markup("<bdi>{}</bdi>").format(marked(cut(text, _MOST_OF_A_WORD))),
    "sentence": lambda text: marked(cut(text, _MOST_OF_A_SENTENCE)),
    "number": "{:,}".format,
    "counted": lambda number, what: f"{number:,} {what}{'' if number == 1 else 's'}",
    "when": _when,
    "by_code": lambda rows: {code: list(own) for code, own in groupby(rows, lambda row: row.finding.code)},
    "gravest": lambda rows: gravest(row.finding for row in rows),
}
_PAGES.globals |= {"SIGNS": _SIGNS, "KINDS": KINDS, "INCOMPLETE": _INCOMPLETE}
