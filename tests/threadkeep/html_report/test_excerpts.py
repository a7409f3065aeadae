"""The conversations that findings speak of: what is concerned is shown, little more is, and nothing is refused."""

import json
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import line, report
from strategies import json_values, odd_messages
from threadkeep.errors import MalformedMessage
from threadkeep.html_report.excerpts import (
    MOST_CHARACTERS,
    MOST_MESSAGES,
    MOST_THREADS,
    Conversation,
    Excerpt,
    excerpts,
)
from threadkeep.records.ndjson import encode_message
from threadkeep.validation.findings import Finding, finding

THREADS = ["thread_a", "thread_b", 'thread_"é\u2028', "thread_c\ud800"]
LINES = [line(thread, number, f"text {number}") for thread in THREADS for number in range(30)]


def numbers_of(conversation: Conversation) -> list[int]:
    """The numbers of the lines that are shown."""
    return [one.line for one in conversation.messages]


def at(number: int | None, code: str = "text_mismatch", **fields: Any) -> Finding:
    """A finding about a line of the export, or about none."""
    return finding(code, "it is so", file="out.ndjson" if number is not None else None, line=number, **fields)


@given(st.lists(st.integers(1, len(LINES)), min_size=1, max_size=30))
def test_the_lines_that_are_concerned_are_shown(numbers: list[int]) -> None:
    """As many of each thread as there is room for, marked, in the order of the file, with those around them."""
    findings = [at(number, thread_id=THREADS[(number - 1) // 30]) for number in numbers]
    for one in excerpts(report(*findings), LINES):
        wanted = {found.line or 0 for found in findings if found.thread_id == one.thread_id}
        marked = [row.line for row in one.messages if row.is_concerned]
        assert set(marked) <= wanted
        assert len(marked) == min(len(wanted), MOST_MESSAGES)
        assert numbers_of(one) == sorted(set(numbers_of(one)))
        assert len(one.messages) <= MOST_MESSAGES
        assert one.left_out + len(one.messages) == 30
        first = THREADS.index(one.thread_id or "") * 30
        assert all(first < row.line <= first + 30 for row in one.messages)
        assert all(any(abs(row.line - number) <= 2 for number in wanted) for row in one.messages)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(LINES),
            st.binary(max_size=40),
            json_values.map(lambda value: json.dumps(value).encode() + b"\n"),
        )
    ),
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(1, 9)),
            st.sampled_from([None, *THREADS]),
            st.sampled_from([None, "", "msg_thread_a_3"]),
            st.sampled_from(["text_mismatch", "not_wanted", "empty_message"]),
        )
    ),
)
def test_nothing_is_refused(lines: list[bytes], places: list[tuple[int | None, str | None, str | None, str]]) -> None:
    """Whatever the lines are and whatever the findings say of them, what comes of it is small."""
    findings = [at(number, code, thread_id=thread, message_id=message) for number, thread, message, code in places]
    shown = excerpts(report(*findings), lines)
    assert len({one.thread_id for one in shown}) == len(shown) <= MOST_THREADS
    for one in shown:
        assert 0 < len(one.messages) <= MOST_MESSAGES
        assert one.left_out >= 0
        assert all(len(row.text) <= MOST_CHARACTERS for row in one.messages)


def dumped(value: object) -> bytes:
    """Any JSON as a line."""
    return json.dumps(value).encode() + b"\n"


@given(odd_messages())
def test_a_message_is_shown_as_its_line_has_it(message: dict[str, Any]) -> None:
    """Its text, who speaks and when; the message itself says nothing else."""
    try:
        written = encode_message(message, assistant_id="asst_a") + b"\n"
    except (MalformedMessage, ValueError):
        return
    value = json.loads(written)
    ((one,),) = (row.messages for row in excerpts(report(at(1, thread_id=value["thread_id"])), [written]))
    assert (one.role, one.created_at, one.message_id) == (value["role"], value["created_at"], value["message_id"])
    assert one.text == value["text"][:MOST_CHARACTERS]
    assert one.cut == max(0, len(value["text"]) - MOST_CHARACTERS)
    assert one.message_text is None
    assert one.is_readable


def test_threads_with_the_gravest_findings_come_first() -> None:
    """And of codes that are as grave each has its turn; threads of which there is no line take nobody's place."""
    findings = [
        at(1, "empty_message", thread_id="thread_a"),
        at(31, "not_wanted", thread_id="thread_b"),
        *(at(None, "lost_thread", thread_id=f"thread_lost_{number}") for number in range(200)),
        *(at(number, thread_id=THREADS[2]) for number in range(61, 91)),
        at(91, "key_mismatch", thread_id=THREADS[3]),
    ]
    assert [one.thread_id for one in excerpts(report(*findings), LINES)] == [
        THREADS[2],
        THREADS[3],
        "thread_b",
        "thread_a",
    ]


def test_no_more_threads_are_shown_than_a_page_holds() -> None:
    """Those with a line and those without are taken alike."""
    lines = [line(f"thread_{number}", 0, "a") for number in range(3 * MOST_THREADS)]
    findings = [at(number, thread_id=f"thread_{number - 1}") for number in range(1, 2 * MOST_THREADS, 2)]
    findings += [at(None, "order_mismatch", thread_id=f"thread_{number}") for number in range(1, 2 * MOST_THREADS, 2)]
    shown = excerpts(report(*findings), lines)
    assert Counter(row.is_concerned for one in shown for row in one.messages) == {True: 20, False: 20}


def test_a_thread_without_a_line_is_shown_from_its_beginning() -> None:
    """No line of it is concerned."""
    found = at(None, "lost_message", thread_id="thread_b", message_id="msg_thread_b_x")
    (one,) = excerpts(report(found), LINES)
    assert numbers_of(one) == [*range(31, 31 + MOST_MESSAGES)]
    assert one.left_out == 30 - MOST_MESSAGES
    assert not any(row.is_concerned for row in one.messages)


def test_places_in_other_files_are_not_of_the_export() -> None:
    """A line of the journal is none of the export; without a thread there is nothing to show, and nothing is read."""
    elsewhere = finding("unreadable_index", "it is", file="out.ndjson.index", line=3)

    def read() -> Any:
        raise AssertionError
        yield

    assert excerpts(report(elsewhere), read()) == ()
    (one,) = excerpts(report(attrs.evolve(elsewhere, thread_id="thread_b")), LINES)
    assert numbers_of(one)[0] == 31


def test_a_line_that_is_no_record_is_shown_as_its_bytes() -> None:
    """Under the thread that the finding names, or under none; what is not UTF-8 is escaped, and what is long is cut."""
    broken = b'{"thread_id": "\xff' + b"x" * 3_000 + b"\n"
    lines = [*LINES[:2], broken, b'{"thread_id":"thread_a","text":7}\n', b"[]"]
    found = [at(3, "not_utf8", thread_id="thread_a"), at(4, "wrong_type"), at(5, "not_an_object")]
    first, nobody = excerpts(report(*found), lines)
    text = '{"thread_id": "\\xff' + "x" * 3_000
    concerned: dict[str, Any] = {"is_concerned": True, "is_readable": False}
    assert first.messages[2] == Excerpt(line=3, text=text[:2_000], cut=len(text) - 2_000, **concerned)
    assert numbers_of(first) == [1, 2, 3, 4]
    assert (nobody.thread_id, nobody.left_out) == (None, 0)
    assert nobody.messages == (
        Excerpt(line=4, text='{"thread_id":"thread_a","text":7}', **concerned),
        Excerpt(line=5, text="[]", **concerned),
    )


def test_the_thread_of_a_line_is_found_however_it_is_written() -> None:
    """With white space, keys in another order, escapes, a byte order mark."""
    value = json.loads(LINES[0])
    turned = dict(reversed(value.items()))
    lines = [
        b"\xef\xbb\xbf" + LINES[0],
        json.dumps(turned).encode(),
        LINES[0].replace(b"thread_a", b"thread_\\u0061"),
        json.dumps(value, indent=None, separators=(", ", ": ")).encode() + b"\r\n",
        b'{"thread_id":"thread_a',
        b'{"thread_id":["thread_a"]}',
    ]
    (one,) = excerpts(report(at(None, "order_mismatch", thread_id="thread_a")), lines)
    assert numbers_of(one) == [1, 2, 3, 4]


def test_a_message_that_says_something_else_is_shown_too() -> None:
    """The text of the line, and that of the message beside it."""
    value = json.loads(line("thread_a", 0, "its own" * 1_000)) | {"text": "another"}
    (one,) = excerpts(report(at(1, thread_id="thread_a")), [dumped(value)])
    assert (one.messages[0].text, one.messages[0].message_text) == ("another", ("its own" * 1_000)[:MOST_CHARACTERS])
    (one,) = excerpts(report(at(1, thread_id="thread_a")), [dumped(value | {"message": {}})])
    assert one.messages[0].message_text == ""


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "image_file", "image_file": {"file_id": "file-1"}}, "image, file file-1"),
        ({"type": "image_url", "image_url": {"url": "https://a"}}, "image at https://a"),
        ({"type": "refusal", "refusal": "no" * 500}, f"refusal: {'no' * 500}"[:500] + "… (509 more characters)"),
        ({"type": "new"}, "a part of type new"),
        ({}, "a part of no type"),
    ],
)
def test_what_a_message_holds_beside_text_is_named(part: dict[str, Any], words: str) -> None:
    """In a few words each, the first of them."""
    text = {"type": "text", "text": {"value": "a", "annotations": []}}
    (one,) = excerpts(report(at(1, thread_id="thread_a")), [line("thread_a", 0, "", content=[text, part])])
    assert one.messages[0].parts == (words,)
    (one,) = excerpts(report(at(1, thread_id="thread_a")), [line("thread_a", 0, "", content=[part] * 15)])
    assert one.messages[0].parts == (*[words] * 10, "and 5 more")
