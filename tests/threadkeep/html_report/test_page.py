"""The page of a report: what is foreign stays text, what is linked is there, and what is long is cut."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import HOSTILE, REPORTS, line, page, report
from strategies import raw_text, surrogate_text
from threadkeep.html_report.excerpts import MOST_CHARACTERS, Conversation, Excerpt
from threadkeep.html_report.page import MOST_BARS, MOST_IDS, MOST_ROWS, Chart, histogram, render, timeline
from threadkeep.html_report.visible_text import cut, marked, visible
from threadkeep.storage.index import Outcome
from threadkeep.validation.findings import Finding, Severity, finding
from threadkeep.validation.report import LineTotals, Live

HIDDEN = st.sampled_from(
    [*"\0\r\x1b\x85\xad\u200b\u200c\u200d\u200e\u202e\u2028\u2066\ufe0f\ufeff\U000e0041", "é", "x"]
)
TEXTS = st.one_of(raw_text, surrogate_text, st.sampled_from(HOSTILE), st.text(HIDDEN), st.text("<>&\"'/ \\u{}%"))


class Skeleton(HTMLParser):
    """The elements of a page with their attributes, and the text in each, signs included."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.texts: list[str] = []
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "i":
            self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self._open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, place in self._open[-1:]:
            self.texts[place] += data

    def of(self, kind: str) -> list[str]:
        """The texts of the elements of a class."""
        return [
            text
            for (_, given), text in zip(self.elements, self.texts, strict=True)
            if kind in (dict(given).get("class") or "").split()
        ]


def foreign_page(text: str, role: str, shown: str) -> str:
    """A page with a foreign text wherever one can stand."""
    one = Finding(
        code="text_mismatch",
        severity=Severity.ERROR,
        message=text,
        path=text,
        file=text,
        line=3,
        thread_id=text,
        message_id=text,
    )
    record = Excerpt(
        line=3, role=role, text=shown, cut=1, message_text=shown, parts=(text,), message_id=text, is_concerned=True
    )
    broken = Excerpt(line=9, text=shown, is_concerned=True, is_readable=False)
    conversations = [Conversation(text, (record, broken), 1)]
    live = Live(source=text, wanted=2, compared=1, new_messages=0, ended_by=text)
    of = report(one, live=live, refetch=(text,))
    return render(of, conversations, made_at=text, version=text)


@given(TEXTS)
def test_what_is_foreign_is_text_and_nothing_else(text: str) -> None:
    """Whatever it says, the page has the elements and attributes that it has without it, and shows all of it."""
    shown = f"-{text}"[:MOST_CHARACTERS]
    found = Skeleton(foreign_page(text, f"-{text}", shown))
    assert found.elements == Skeleton(foreign_page("x", "x", "x")).elements
    assert found.of("text") == [visible(shown)] * 3


@given(TEXTS)
def test_nothing_on_a_page_is_hidden(text: str) -> None:
    """It can be encoded, and holds no character that cannot be seen or turns the rest round, nor a carriage return."""
    shown = foreign_page(text, text, text)
    assert visible(shown) == shown
    assert "\r" not in shown
    assert shown.encode().decode() == shown


@given(TEXTS)
def test_what_is_made_visible_is_the_same_with_marks_as_without(text: str) -> None:
    """Where nothing is hidden nothing changes, and what was made visible stays as it is."""
    assert Skeleton(f"<p>{marked(text)}</p>").texts == [visible(text)]
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\n", "a\\u000d\n"),
        ("\x00\x7f\x85", "\\u0000\\u007f\\u0085"),
        ("\u202eabc", "\\u202eabc"),
        ("👨‍👩‍👧", "👨‍👩‍👧"),
        ("❤️‍🔥 #️⃣", "❤️‍🔥 #️⃣"),
        ("می‌خواهم", "می‌خواهم"),
        ("pay\u200dpal", "pay\\u200dpal"),
        ("é\u200d\u200dé", "é\\u200d\\u200dé"),
        ("a\ufe0f\ufe0f", "a\ufe0f\\ufe0f"),
        ("\ud800", "\\ud800"),
        ("\U000e0041\U0001ffff", "\\U000e0041\\U0001ffff"),
    ],
)
def test_signs(text: str, shown: str) -> None:
    """What is hidden is shown as its escape; languages and emoji keep the joiners that they need."""
    assert visible(text) == shown


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_needs_nothing_else(name: str) -> None:
    """No script, no address, no picture; links lead to what is on the page, and every id is there once."""
    found = Skeleton(page(REPORTS[name]()))
    assert {tag for tag, _ in found.elements} & {"script", "link", "img", "iframe", "form", "object", "base"} == set()
    given = [(key, value or "") for _, attributes in found.elements for key, value in attributes]
    ids = [value for key, value in given if key == "id"]
    assert len(ids) == len(set(ids))
    assert {value for key, value in given if key == "href"} <= {f"#{one}" for one in ids}
    assert all(re.fullmatch(r"[a-z]+(-[0-9a-z]+)*", one) for one in ids)
    assert not {key for key, _ in given} & {"src", "srcset", "action", "onload"}


def test_a_page_is_bounded() -> None:
    """However many findings there are and however long the texts: the page says what it leaves out."""
    assert len(page(REPORTS["many"]())) < 600_000
    assert len(page(REPORTS["hostile"]())) < 100_000
    many = page((report(*lost_threads(MOST_IDS + 1), most=MOST_IDS + 1), []))
    found = Skeleton(many)
    assert f"The first {MOST_ROWS} of {MOST_IDS + 1} findings" in many
    assert f"The ids, the first {MOST_IDS}" in many
    assert sum((dict(given).get("id") or "").startswith("finding-") for _, given in found.elements) == MOST_ROWS


def lost_threads(number: int) -> Iterator[Finding]:
    """So many findings."""
    return (finding("lost_thread", "it is lost", thread_id=f"thread_{place}") for place in range(number))


@pytest.mark.parametrize(
    ("findings", "verdict", "words"),
    [
        ([], "Complete", "Nothing is wrong, and there is nothing to note."),
        (["empty_message"], "Complete", "Nothing is wrong. There is 1 note."),
        (["empty_message"] * 2, "Complete", "Nothing is wrong. There are 2 notes."),
        (["not_wanted"], "Not complete", "1 warning."),
        (["empty_message", "crlf", "crlf", "not_wanted"], "Not complete", "2 errors, 1 warning, 1 note."),
    ],
)
def test_the_verdict(findings: list[str], verdict: str, words: str) -> None:
    """In words, first of all."""
    of = report(*(finding(code, "it is so") for code in findings))
    text = page((of, []))
    assert f"<title>{verdict}: out.ndjson (threadkeep)</title>" in text
    assert f"<h1>{verdict}</h1>" in text
    assert f"\n{words}\n" in text


def test_findings_and_conversations_lead_to_each_other() -> None:
    """By the line, or else by the thread; and back to the first of each code."""
    lines = [line(thread, number, "a") for thread in ("thread_a", "thread_b") for number in range(20)]
    of = report(
        finding("text_mismatch", "on line 3", file="out.ndjson", line=3, thread_id="thread_a"),
        finding("key_mismatch", "on line 3", file="out.ndjson", line=3, thread_id="thread_a"),
        finding("text_mismatch", "again", file="out.ndjson", line=3, thread_id="thread_a"),
        finding("changed_message", "by its line", file="out.ndjson", line=36, thread_id="thread_b"),
        finding("order_mismatch", "by its thread", thread_id="thread_b"),
        finding("lost_message", "an id that is not there", thread_id="thread_b", message_id="msg_x"),
        finding("index_mismatch", "in another file", file="out.ndjson.index", line=3, thread_id="thread_a"),
        finding("unreadable_index", "of no thread", file="out.ndjson.index", line=3),
        finding("not_utf8", "of no thread", file="out.ndjson", line=3),
        finding("lost_thread", "not there", thread_id="thread_c"),
    )
    text = page((of, lines))
    leads = {
        words: re.search(rf"<bdi>{words}\.?</bdi></p>(?:(?!</li>)(?s:.))*?href=\"#([^\"]+)\">see", text)
        for words in ("by its line", "by its thread", "an id that is not there", "in another file", "not there")
    }
    assert {words: found and found[1] for words, found in leads.items()} == {
        "by its line": "thread-2-line-36",
        "by its thread": "thread-2",
        "an id that is not there": "thread-2",
        "in another file": "thread-1",
        "not there": None,
    }
    assert text.count('href="#thread-1-line-3"') == 3
    assert text.count('href="#thread-3-line-3"') == 1
    about = re.findall(r"Found here: (.*)", text)
    assert [re.sub(r"<[^>]*>", "", row) for row in about] == [
        "text_mismatch × 2, key_mismatch",
        "changed_message",
        "not_utf8",
    ]


def test_a_line_that_is_not_shown_leads_to_its_thread() -> None:
    """There are more concerned lines than a conversation shows; a line of no thread leads nowhere then."""
    lines = [line("thread_a", number, "a") for number in range(40)]
    found = [
        finding(code, "so", file="out.ndjson", line=number, thread_id=thread_id)
        for code, thread_id in (("text_mismatch", "thread_a"), ("not_utf8", None))
        for number in range(1, 31)
    ]
    text = page((report(*found), lines))
    assert len(re.findall(r'href="#thread-\d">see', text)) == 30 - 12
    assert len(re.findall(r'href="#thread-\d-line-\d+">see', text)) == 12 + 12


def test_messages_say_who_when_and_what() -> None:
    """Whatever there is of it: no role, no time, a time beyond the calendar, no text, and what else it holds."""
    shown = [
        Excerpt(line=1, role="user", created_at=0, text="", is_concerned=True),
        Excerpt(line=2, created_at=-(10**15), text="a", cut=2, is_concerned=False),
        Excerpt(line=7, created_at=10**30, text="", parts=("image, file f",), is_concerned=False),
        Excerpt(line=8, text="", message_text="b", is_concerned=False),
        Excerpt(line=9, text="", is_concerned=False, is_readable=False),
    ]
    one = Conversation("thread_a", tuple(shown), 0)
    text = render(report(), [one], made_at="now", version="1")
    assert re.findall(r"<strong>(.*)</strong>", text) == [
        "<bdi>user</bdi>",
        "nobody",
        "nobody",
        "nobody",
        "a line that is no record",
    ]
    assert re.findall(r"<span>(.* UTC|.* after 1970)</span>", text) == [
        "1970-01-01 00:00:00 UTC",
        "-1000000000000000 seconds after 1970",
        "10000000000000000000… (11 more characters) seconds after 1970",
    ]
    assert "A finding is about this line." in text
    assert text.count("No text.") == 1
    assert text.count("Nothing.") == 1
    assert "2 more characters left out here." in text
    assert "4 lines between" in text
    assert "5 lines shown." in text


def test_a_thread_of_the_list_that_is_not_exported_is_among_those_that_are_not_complete() -> None:
    """A file of which nothing is known is none of them."""
    of = report(finding("not_exported", "it is absent", thread_id="thread_a"), finding("not_exported", "a file"))
    text = page((of, []))
    assert [one.split() for one in re.findall(r'<li><a href="#finding-1">([^<]+)</a>', text)] == [["not", "exported"]]
    assert "more thread" not in text


def test_outcomes_are_named() -> None:
    """Every outcome that there can be, in words, each with a bar."""
    outcomes = dict.fromkeys((str(one) for one in Outcome), 1) | {"complete": 99_999}
    text = page((report(outcomes=outcomes), []))
    named = re.findall(r'<th scope="row">([a-z]+)<span', text)
    assert named == ["complete", "partial", "failed", "missing", "unfinished", "dropped"]
    assert re.findall(r'class="bar (\w+)" style="width:([0-9.]+)%"', text)[1:] == [(one, "0.5") for one in named[1:]]
    assert "The index has no thread." in page((report(outcomes={}), []))
    assert "There is no index" in page((report(), []))


def test_sizes_are_told_as_people_read_them() -> None:
    """And exactly, in the line below."""
    text = page((report(totals=LineTotals(threads=0, messages=0, bytes=2_345_678_901)), []))
    assert "<dd>2.3 GB</dd>" in text
    assert "The file has 2,345,678,901 bytes." in text


def test_a_live_check_is_told() -> None:
    """What was compared of how many, by which seed, and what ended it."""
    live = Live(source="https://example.com/v1", wanted=9, compared=3, new_messages=1_234)
    complete = page((report(live=live), []))
    assert "every thread" in complete
    assert "ended before its time" not in complete
    assert "1,234" in complete
    cut_off = page((report(live=attrs.evolve(live, seed=7, ended_by="the API is gone")), []))
    assert "drawn with the seed 7" in cut_off
    assert "It ended before its time: <bdi>the API is gone</bdi>" in cut_off


def test_a_finding_that_is_less_grave_than_its_code_says_so() -> None:
    """Each has the sign of its own severity where that differs; the code has the gravest."""
    grave = finding("torn_line", "it is cut short", file="out.ndjson", line=9)
    text = page((report(attrs.evolve(grave, severity=Severity.NOTE), grave), []))
    assert '<article class="group error"' in text
    assert text.count('<span class="badge note">') == 1


@given(TEXTS, st.integers(1, 50))
def test_what_is_cut_says_how_much(text: str, most: int) -> None:
    """Short texts stay as they are."""
    shown = cut(text, most)
    assert shown == text if len(text) <= most else shown == f"{text[:most]}… ({len(text) - most:,} more characters)"


# --- charts: everything is counted once, there are never too many rows, and bars are as long as counts are high

MONTHS = st.dictionaries(
    st.one_of(
        st.builds("{:04}-{:02}".format, st.integers(2023, 2027), st.integers(1, 12)),
        st.builds("{:04}-{:02}".format, st.integers(1, 9999), st.integers(1, 12)),
    ),
    st.integers(1, 10**9),
    max_size=200,
)
SIZES = st.dictionaries(st.one_of(st.integers(0, 30), st.integers(0, 10**12)), st.integers(1, 10**9))


def sane(chart: Chart) -> Chart:
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
    chart = sane(timeline(months))
    assert sum(row.count for row in chart.rows) + chart.left_out == sum(months.values())
    for row in chart.rows:
        assert row.count == sum(count for month, count in months.items() if month.startswith(row.label))
    assert [row.label for row in chart.rows] == sorted(row.label for row in chart.rows)
    assert {len(row.label) for row in chart.rows} <= {7 if chart.unit == "month" else 4}


@given(SIZES)
def test_every_thread_is_counted_once(sizes: dict[int, int]) -> None:
    """In the one range that holds its number of messages."""
    chart = sane(histogram(sizes))
    for row in chart.rows:
        begin, _, end = row.label.replace(",", "").partition("–")
        assert row.count == sum(count for size, count in sizes.items() if int(begin) <= size <= int(end or begin))
    assert sum(row.count for row in chart.rows) == sum(sizes.values())


def test_close_sizes_have_rows_of_their_own_and_far_ones_double() -> None:
    """Without rows that count nothing."""
    assert [row.label for row in histogram({3: 5, 6: 1}).rows] == ["3", "6"]
    assert [row.label for row in histogram({0: 1, 3: 5, 20: 1}).rows] == ["0", "2–3", "16–31"]
