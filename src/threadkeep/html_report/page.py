"""A report as one HTML page that needs nothing else: no script, no network, no other file.

Everything that comes from an export is foreign: it is escaped, made visible (see
`threadkeep.html_report.visible_text`), cut where it is long, and stands in no attribute. Anchors are numbered.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import attrs
import jinja2
from markupsafe import Markup

from threadkeep.html_report.charts import HEIGHT, WIDTH, histogram, timeline
from threadkeep.html_report.excerpts import Conversation, Excerpt
from threadkeep.html_report.links import Links, Mention, Row, anchor, gravest, mentions
from threadkeep.html_report.visible_text import cut, marked, visible
from threadkeep.journal import Outcome
from threadkeep.validation.findings import KINDS, Severity
from threadkeep.validation.report import ValidationReport

__all__ = ["MOST_IDS", "render"]

MOST_IDS = 500
"""How many ids of threads that want to be fetched again the page lists."""

_MOST_OF_A_WORD, _MOST_OF_A_SENTENCE = 100, 1_000

_SIGNS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "i"}

_OUTCOMES = {
    Outcome.COMPLETE: "all their messages are in the export",
    Outcome.PARTIAL: "cut off in the middle; the pages that came are in the partial file",
    Outcome.FAILED: "no usable answer after every retry",
    Outcome.MISSING: "the API knows no such thread",
    Outcome.INVALID: "not a thread id",
}


def render(report: ValidationReport, conversations: Sequence[Conversation], *, made_at: str, version: str) -> str:
    """Write a report as an HTML page.

    Args:
        report: what was found.
        conversations: see `threadkeep.html_report.excerpts.excerpts`; of the same report.
        made_at: when, for a person.
        version: of threadkeep.

    Returns:
        A page that can be encoded as UTF-8, whatever the export holds.
    """
    links = Links.of(report, conversations)
    return _PAGES.get_template("page.html.jinja").render(
        report=report,
        groups=list(_groups(report, links)),
        outcomes=list(_outcomes(report.outcomes or {})),
        timeline=timeline(report.months),
        histogram=histogram(report.sizes),
        threads=[_thread(number, one, links) for number, one in enumerate(conversations, 1)],
        named=len({one.thread_id for one in report.findings if one.thread_id is not None}),
        made_at=made_at,
        version=version,
        most_ids=MOST_IDS,
    )


@attrs.frozen(kw_only=True)
class _Group:
    """The findings of one code."""

    code: str
    severity: Severity
    what: str
    remedy: str
    count: int
    rows: Sequence[Row]


@attrs.frozen
class _Outcome:
    """How many threads have an outcome, and what part of all that is, in hundredths."""

    name: str
    what: str
    count: int
    share: float


@attrs.frozen(kw_only=True)
class _Message:
    """A message on the page.

    Attributes:
        when: it was made, for a person.
        severity: of the gravest finding about it; None when there is none.
        mentions: the findings about it.
        gap: how many lines are left out before it.
    """

    anchor: str
    excerpt: Excerpt
    when: str | None
    severity: Severity | None
    mentions: Sequence[Mention]
    gap: int


@attrs.frozen
class _Thread:
    """A conversation on the page."""

    anchor: str
    thread_id: str | None
    messages: Sequence[_Message]
    left_out: int
    mentions: Sequence[Mention]


def _groups(report: ValidationReport, links: Links) -> Iterator[_Group]:
    by_code = defaultdict[str, list[Row]](list)
    for row in links.rows:
        by_code[row.finding.code].append(row)
    for code, rows in by_code.items():
        yield _Group(
            code=code,
            severity=gravest(rows),
            what=KINDS[code].what,
            remedy=KINDS[code].remedy,
            count=report.counts[code],
            rows=rows,
        )


def _outcomes(counts: Mapping[str, int]) -> Iterator[_Outcome]:
    total = sum(counts.values())
    for outcome, what in _OUTCOMES.items():
        if count := counts.get(outcome, 0):
            yield _Outcome(outcome.value, what, count, 100 * count / total)


def _thread(number: int, one: Conversation, links: Links) -> _Thread:
    about = links.by_thread.get(one.thread_id, ()) if one.thread_id is not None else ()
    messages = list(_messages(number, one, links))
    return _Thread(anchor(number), one.thread_id, messages, one.left_out, mentions(about))


def _messages(number: int, one: Conversation, links: Links) -> Iterator[_Message]:
    last = None
    for excerpt in one.messages:
        rows = list(links.by_line.get((one.thread_id, excerpt.line), ()))
        if excerpt.message_id is not None:
            rows += links.by_message.get((one.thread_id, excerpt.message_id), ())
        gap = excerpt.line - last - 1 if last is not None else 0
        yield _Message(
            anchor=anchor(number, excerpt.line),
            excerpt=excerpt,
            when=_when(excerpt.created_at) if excerpt.created_at is not None else None,
            severity=gravest(rows) if rows else None,
            mentions=mentions(rows),
            gap=gap,
        )
        last = excerpt.line


def _when(seconds: int) -> str:
    """Write a time as a person reads it; a number that is no time of the calendar as it is."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{cut(str(seconds), 20)} seconds after 1970"


def _sentence(text: str) -> Markup:
    return marked(cut(text, _MOST_OF_A_SENTENCE))


def _word(text: str) -> Markup:
    return Markup("<bdi>{}</bdi>").format(marked(cut(text, _MOST_OF_A_WORD)))


def _number(number: int) -> str:
    return f"{number:,}"


def _size(size: int) -> str:
    """Write a number of bytes as a person reads it."""
    shown, unit = float(size), 0
    while shown >= 999.95 and unit < len(_UNITS) - 1:
        shown, unit = shown / 1000, unit + 1
    return f"{shown:,.1f} {_UNITS[unit]}" if unit else f"{size:,} {_UNITS[0]}"


_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _pages() -> jinja2.Environment:
    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("threadkeep.html_report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "foreign": marked,
        "visible": visible,
        "word": _word,
        "sentence": _sentence,
        "number": _number,
        "counted": _counted,
        "size": _size,
    }
    pages.globals |= {"SIGNS": _SIGNS, "WIDTH": WIDTH, "HEIGHT": HEIGHT}
    return pages


_PAGES = _pages()
