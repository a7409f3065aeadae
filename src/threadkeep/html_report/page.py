"""A report as one HTML page that needs nothing else: no script, no network, no other file.

Everything that comes from an export is foreign: it is escaped, made visible (see
`threadkeep.html_report.visible_text`), cut if it is long, and in no attribute. Anchors are numbered.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs
import jinja2
from markupsafe import Markup

from threadkeep.html_report.charts import ChartRow, histogram, rows, timeline
from threadkeep.html_report.excerpts import Conversation
from threadkeep.html_report.visible_text import cut, marked, visible
from threadkeep.storage.index import Outcome
from threadkeep.validation.findings import KINDS, Finding, Severity
from threadkeep.validation.report import ValidationReport

__all__ = ["MOST_IDS", "MOST_ROWS", "render"]

MOST_IDS, MOST_ROWS = 500, 200
"""How many ids of threads to fetch again the page lists, and how many findings of one code."""

_MOST_OF_A_WORD, _MOST_OF_A_SENTENCE = 100, 1_000

_SIGNS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "i"}

_OUTCOMES = {
    Outcome.COMPLETE: "all their messages are in the export",
    Outcome.PARTIAL: "cut off in the middle; the pages that came are in the partial file",
    Outcome.FAILED: "no usable answer after every retry",
    Outcome.MISSING: "the API knows no such thread",
    Outcome.UNFINISHED: "they were not asked for yet",
    Outcome.DROPPED: "not wanted any more",
}


def render(report: ValidationReport, conversations: Sequence[Conversation], *, made_at: str, version: str) -> str:
    """Write a report as an HTML page that can be encoded as UTF-8, whatever the export holds.

    Args:
        report: of validate.
        conversations: see `threadkeep.html_report.excerpts.excerpts`; of the same report.
        made_at: when, for a person.
        version: of threadkeep.
    """
    listed = list(_rows(report, conversations))
    about = defaultdict[_Place, list[_Row]](list)
    for row in listed:
        for place in {row.place, (row.place[0], None)} - {(None, None)}:
            about[place].append(row)
    return _PAGES.get_template("page.html.jinja").render(
        report=report,
        rows=listed,
        about=lambda thread_id, line=None: about.get((thread_id, line), []),
        outcomes=_outcomes(report.outcomes or {}),
        timeline=timeline(report.months),
        histogram=histogram(report.sizes),
        threads=conversations,
        named=len({one.thread_id for one in report.findings if one.thread_id is not None}),
        made_at=made_at,
        version=version,
        most_ids=MOST_IDS,
    )


_Place = tuple[str | None, int | None]  # a thread, and the number of a line of OUT, or None for the thread itself


@attrs.frozen
class _Row:
    """A finding on the page: its number, the place it is about, and the anchor of that place, if it is shown."""

    number: int
    finding: Finding
    place: _Place
    anchor: str | None


def _rows(report: ValidationReport, conversations: Sequence[Conversation]) -> Iterator[_Row]:
    anchors: dict[_Place, str] = {}
    for number, one in enumerate(conversations, 1):
        anchors |= {(one.thread_id, shown.line): f"thread-{number}-line-{shown.line}" for shown in one.messages}
        if one.thread_id is not None:
            anchors[one.thread_id, None] = f"thread-{number}"
    for number, found in enumerate(_listed(report.findings), 1):
        place = (found.thread_id, found.line if found.file == report.out.name else None)
        yield _Row(number, found, place, anchors.get(place) or anchors.get((found.thread_id, None)))


def _listed(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings that the page lists: the most severe codes first, and of each code so many."""
    by_code = defaultdict[str, list[Finding]](list)
    for one in findings:
        by_code[one.code].append(one)
    known = [by_code[code] for code in KINDS if code in by_code]
    for found in sorted(known, key=lambda found: list(Severity).index(_gravest(found))):
        yield from found[:MOST_ROWS]


def _gravest(findings: Iterable[Finding]) -> Severity:
    return min((one.severity for one in findings), key=list(Severity).index)


def _by_code(rows: Iterable[_Row]) -> Mapping[str, Sequence[_Row]]:
    by_code = defaultdict[str, list[_Row]](list)
    for row in rows:
        by_code[row.finding.code].append(row)
    return by_code


def _outcomes(counts: Mapping[str, int]) -> list[tuple[ChartRow, str]]:
    known = {str(outcome): counts.get(outcome, 0) for outcome in _OUTCOMES}
    return [(row, _OUTCOMES[Outcome(row.label)]) for row in rows(known, sum(counts.values()))]


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
    "by_code": _by_code,
    "gravest": lambda rows: _gravest(row.finding for row in rows),
}
_PAGES.globals |= {"SIGNS": _SIGNS, "KINDS": KINDS}
