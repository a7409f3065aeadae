"""Lists of thread ids, in every form that editors and shells write."""

import csv
import io
import json
import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_lists import IdList
from threadkeep.serialization.thread_ids import is_thread_id

ENTRIES = st.lists(st.text("abcXYZ019_-", min_size=1, max_size=12).map("thread_".__add__), max_size=12)
NOISE = st.sampled_from(["", "   ", "# a comment", "\t# thread_commented"])


ROWS = st.lists(
    st.tuples(
        st.text("abcXYZ019", min_size=1, max_size=12).map("thread_".__add__),
        st.one_of(
            st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=12).map(str.strip),
            st.sampled_from(["#general", "# 1", "a, b", "it's", "c; d", "NULL", "(1)"]),
        ),
    ),
    min_size=1,
    max_size=12,
)


def read_ids(content: bytes) -> list[tuple[int, str]]:
    """Return the entries of a list with their line numbers."""
    return [(place, thread_id) for place, thread_id, _ in IdList(io.BytesIO(content), "ids")]


def read_list(text: str, column: str | None = None) -> tuple[str, list[tuple[str, str | None]]]:
    """Return how a list was read, and its entries with their assistants."""
    ids = IdList(io.BytesIO(text.encode()), "ids", column).refuse_empty()
    entries = [(thread_id, assistant_id) for _, thread_id, assistant_id in ids]
    return str(ids), entries


# --- every form gives the ids


def as_csv(rows: Sequence[tuple[str, str]], **dialect: str) -> str:
    """Write rows as a spreadsheet does."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", **dialect)  # type: ignore[arg-type]
    writer.writerow(["Title", "Thread ID"])
    writer.writerows([title, thread_id] for thread_id, title in rows)
    return text.getvalue()


def as_table(rows: Sequence[tuple[str, str]], border: str) -> str:
    """Write rows as a database prints them; its cells have no bars."""
    cells = [("thread_id", "title"), *((thread_id, title.replace("|", "")) for thread_id, title in rows)]
    width = max(len(left) for left, _ in cells)
    lines = [f"{border} {left:{width}} | {right} {border}".strip() for left, right in cells]
    lines.insert(1, f"{'-' * (width + 2)}+-------")
    return "\n".join([*lines, f"({len(rows)} rows)", ""])


FORMS: dict[str, Callable[[Sequence[tuple[str, str]]], str]] = {
    "lines": lambda rows: "\n".join(one for one, _ in rows),
    "quoted lines": lambda rows: ",\n".join(f'"{one}"' for one, _ in rows),
    "a header": lambda rows: "\n".join(["thread_id", *(one for one, _ in rows)]),
    "a clause of SQL": lambda rows: ", ".join(f"'{one}'" for one, _ in rows),
    "CSV": as_csv,
    "TSV": lambda rows: as_csv(rows, delimiter="\t"),
    "CSV of Excel in Europe": lambda rows: as_csv(rows, delimiter=";"),
    "psql": lambda rows: as_table(rows, ""),
    "MySQL and Markdown": lambda rows: as_table(rows, "|"),
    "psql -x": lambda rows: "".join(f"-[ RECORD 1 ]---\nthread_id | {one}\ntitle | {two}\n" for one, two in rows),
    "a JSON array": lambda rows: json.dumps([one for one, _ in rows]),
    "a JSON array of objects": lambda rows: json.dumps([{"id": one, "title": two} for one, two in rows], indent=1),
    "NDJSON": lambda rows: "\n".join(json.dumps({"title": two, "thread_id": one}) for one, two in rows),
    "a list of Python": lambda rows: str([one for one, _ in rows]),
}


@pytest.mark.parametrize("form", FORMS)
@given(rows=ROWS)
def test_every_form_gives_the_ids_in_their_order(form: str, rows: list[tuple[str, str]]) -> None:
    """Whatever stands next to them."""
    _, entries = read_list(FORMS[form](rows))
    assert [thread_id for thread_id, _ in entries] == [thread_id for thread_id, _ in rows]


PIECES = [
    "('",
    "')",
    "'",
    '"',
    ",",
    ";",
    "\t",
    "|",
    " ",
    "\n",
    "\n",
    "#",
    "[",
    "]",
    "IN (",
    "id",
    "title",
    "x, y",
    "(old)",
    "{",
    "}",
    ":",
    '"id":',
    "id | ",
    "-[ RECORD 1 ]\n",
    "https://x/",
    " into ",
    "null",
    "...",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.integers(10, 99).map("thread_{}z".format)), max_size=25))
def test_no_id_is_left_out_without_a_word(pieces: list[str]) -> None:
    """Whatever the text is: it is refused, or each id in it is in an entry. Lines that begin with # are comments."""
    text = "".join(pieces)
    try:
        _, entries = read_list(text)
    except UnreadableIds:
        return
    counted = "\n".join(line for line in text.split("\n") if not line.strip("\t |;,'\"()[]").startswith("#"))
    found = {one for thread_id, _ in entries for one in re.findall(r"thread_\d\dz", thread_id)}
    assert {*re.findall(r"thread_\d\dz", counted)} <= found


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("thread_a\nthread_b\n", "one id a line, 2 ids"),
        ("Conversation\nthread_a\n", "one id a line, header Conversation, 1 id"),
        ("user,thread_id\nu1,thread_a\nu2,\n", "CSV, column thread_id, 1 id, 1 row without one"),
        ("u1,thread_a\nu2,thread_b\n", "CSV, column 2, 2 ids"),
        ("id,openai_thread_id\n1,abc\n", "CSV, column openai_thread_id, 1 id"),
        ("thread_a thread_b\n", "ids with blanks, 2 ids"),
        ('[{"id": "thread_a", "object": "thread"}]', "JSON array, key id, 1 id"),
        ("thread_a\u200b\n\u2066thread_b\u2069\n", "one id a line, 2 ids"),
        ("- thread_a\n- thread_b\n", "one id a line, 2 ids"),
        ('thread_id,text\nthread_a,"two\n# lines"\nthread_b,x\n', "CSV, column thread_id, 2 ids"),
        ("name,thread_id\n#general,thread_a\n# a comment\nb,thread_b\n", "CSV, column thread_id, 2 ids"),
        ('id\tthread_id\n"1\tthread_a\n2"\tthread_b\n', "TSV, column thread_id, 2 ids"),
        ("1,550e,x\n2,thread_a,y\n", "CSV, column 2, 2 ids"),
        ("thread_id,u\nthread_a,1\nthread_id,u\nNULL,2\n", "CSV, column thread_id, 1 id, 1 row without one"),
        ("*** 1. row ***\nmy_thread_id: thread_a\ntitle: a: b\n", "table of records, key my_thread_id, 1 id"),
        ("('thread_a', 'thread_b')", "ids with commas, 2 ids"),
        ('1) "thread_a"\n2) "thread_b"\n', "one id a line, 2 ids"),
        ("thread_id\n---\nthread_a\nthread_b\n(2 rows)\n\nTime: 1.2 ms\n", "one id a line, header thread_id, 2 ids"),
        ("db=> select * from t;\n id | thread_id\n----+---\n 1 | thread_a\n", "table, column thread_id, 1 id"),
        (
            "id  thread_id\n--  ---------\n1   thread_a\n2   thread_b\n",
            "text with thread ids, header id thread_id, 2 ids",
        ),
        ("external_id\nthread_a\nthread_b\n", "one id a line, header external_id, 2 ids"),
        ("thread_id\nthread_a\nNone\n", "one id a line, header thread_id, 1 id, 1 row without one"),
        (
            "   id = 1\nthread_id = thread_a\n\n   id = 2\nthread_id = thread_b\n",
            "table of records, key thread_id, 2 ids",
        ),
        (
            "- thread_id: thread_a\n  user: u1\n- thread_id: thread_b\n  user: u2\n",
            "table of records, key thread_id, 2 ids",
        ),
        ("COPY t (id, thread_id) FROM stdin;\n1\tthread_a\n2\t\\N\n\\.\n", "TSV, column 2, 1 id, 1 row without one"),
        ("https://x/threads/thread_a\nhttps://x/threads/thread_b/messages\n", "text with thread ids, 2 ids"),
        ("- [one](https://x/thread_a)\n- [two](https://x/thread_b)\n", "text with thread ids, 2 ids"),
        ("thread_a # Anna\nthread_b (Ben)\n", "text with thread ids, 2 ids"),
        ("// mine\n-- and yours\nthread_a\n", "one id a line, 1 id"),
        ("IDS = ['thread_a', 'thread_b']\n", "text with thread ids, 2 ids"),
        ("IDS = [\n  'thread_a',\n  'thread_b',\n]\n", "one id a line, header IDS =, 2 ids"),
        ("threads:\n  - thread_a\n  - thread_b\n", "one id a line, header threads:, 2 ids"),
        ("['thread_a' 'thread_b']", "ids with blanks, 2 ids"),
        ("{'thread_id': 'thread_a', 'at': now()}\n{'thread_id': 'thread_b', 'at': now()}", "CSV, column 1, 2 ids"),
        ('user,threads\nu1,"thread_a, thread_b"\nu2,thread_c\n', "CSV, column threads, 3 ids"),
        ("id,url\nthread_a,https://x/thread_a\n", "CSV, column id, 1 id"),
        ("Report,\n,\nthread_id,user\nthread_a,u1\n", "CSV, column thread_id, 1 id"),
        ('{"threads": ["thread_a", "thread_b"]}', "JSON, 2 ids"),
        (
            '{"data": [{"id": "thread_a", "object": "thread"}], "first_id": "thread_a", "has_more": false}',
            "JSON, key id, 1 id",
        ),
        (
            '{"data": [{"id": "thread_a"}], "has_more": true}',
            "JSON, one page of several (has_more is true), 1 id",
        ),
        ('{"u1": {"threadId": "thread_a"}, "u2": {"threadId": "thread_b"}}', "JSON, key threadId, 2 ids"),
        ('{"u1": "thread_a", "u2": "thread_b"}', "JSON, 2 ids"),
        ('{"columns": ["id", "thread_id"], "data": [[1, "thread_a"], [2, "thread_b"]]}', "JSON, key 2, 2 ids"),
        ('{\n "thread_id": "thread_a"\n}\n{\n "thread_id": "thread_b"\n}\n', "JSON, key thread_id, 2 ids"),
        (
            '{"Item": {"tid": {"S": "thread_a"}}}\n{"Item": {"tid": {"S": "thread_b"}}}\n',
            "NDJSON, key Item.tid.S, 2 ids",
        ),
        ('[{"user": 1, "threads": [{"id": "thread_a"}, {"id": "thread_b"}]}]', "JSON array, key id, 2 ids"),
        ('["thread_a"]\n["thread_b"]\n', "JSON array, 2 ids"),
    ],
)
def test_it_says_how_the_list_was_read(text: str, form: str) -> None:
    """So that a column that was taken by mistake is seen."""
    assert read_list(text)[0] == f"ids: {form}"


@pytest.mark.parametrize(
    "text",
    [
        "Thread-Id;assistant id\nthread_a;asst_1\nthread_b;\n",
        '{"thread_id":"thread_a","assistant_id":"asst_1"}\n{"thread_id":"thread_b"}',
        '[{"thread_id":"thread_a","assistant_id":"asst_1"}, {"thread_id":"thread_b","assistant_id":null}]',
    ],
)
def test_a_list_may_name_the_assistant_of_each_thread(text: str) -> None:
    """In a column of its own."""
    assert read_list(text)[1] == [("thread_a", "asst_1"), ("thread_b", None)]


@pytest.mark.parametrize("column", ["conv", "CONV", "2"])
def test_a_column_can_be_named(column: str) -> None:
    """By its name, or its number."""
    entries = read_list("id,Conv\n1,abc\n2,def\n", column)[1]
    assert [thread_id for thread_id, _ in entries if thread_id != "Conv"] == ["abc", "def"]


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("id,conv\n1,abc\n", None, "which column has the thread ids? There are 'id', 'conv'. Name one with --column"),
        ("old_thread_id,new_thread_id\nthread_a,thread_b\n", None, "'old_thread_id', 'new_thread_id'"),
        ("id,conv\n1,abc\n", "thread", "no column thread: there are 'id', 'conv'"),
        ("id,conv\n1,abc\n", "3", "no column 3: there are 2"),
        ("thread_a\n", "conv", "no column conv: there is only 'thread_a'"),
        ("asst_1\nasst_2\n", None, "no list of thread ids: line 1 is 'asst_1', an assistant's id"),
        ("sk-secret\n", None, "no list of thread ids: line 1 is a key$"),
        ("<html>\n<body>hello you</body>\n", None, "no list of thread ids: line 1 is '<html>'"),
        ('["thread_a", "thread_b', None, "not complete JSON"),
        ('["thread_a", "thread_b"', None, "not complete JSON: line 1: the end is missing"),
        ('{"data": [{"id": "thread_a"}, {"id": ', None, "not complete JSON"),
        ('{"thread_a": {"user": "u1"}}', None, "thread ids are keys of the object. Write a list of them: jq keys FILE"),
        ('[{"id": "thread_a", "parent": "thread_b"}, {"id": "thread_c"}]', None, "There are 'id', 'parent'"),
        (
            '{"threads": [{"id": "thread_a", "old": {"thread_id": "thread_b"}}]}',
            None,
            "outside the column old.thread_id",
        ),
        ('{"message": "begun"}\n{"message": "made thread_a"}', None, "line 1 has 'begun' in the column message"),
        ('{"thread_id":"thread_a"}\n{"thread_id":', None, "line 2 is no JSON"),
        ('thread_id,text\nthread_a,"hello\nthread_b,x\n', None, "line 3 is no row of CSV, by the quotation marks"),
        (
            'text,thread_id\n"a,thread_a\nb",thread_b\n',
            None,
            "a cell that ends in line 3 has several lines and a thread id",
        ),
        ("1,'thread_a','thread_b'", None, "which column has the thread ids"),
        ("alice\nbob\n", None, "line 1 is 'alice', and ids of threads begin with thread_.*--column 1"),
        ("1\n2\n", None, "line 1 is '1', and ids of threads begin with thread_"),
        ("Thread_Abc1\n", None, "line 1 is 'Thread_Abc1', and ids of threads begin with thread_"),
        ("made thread_a\nall is well\n", None, "line 2 has no thread id, and other lines have one.*: grep -oE"),
        ("made thread_a\nmerged thread_b into thread_c\n", None, "line 2 has several thread ids between other words"),
        (
            "user,thread_id,thread_1a,u1\nthread_2b,u2\n",
            None,
            "there is a thread id in the header: is a line end missing",
        ),
        (
            "thread_id: thread_a\nnote: see thread_b\nuser: u1\n",
            None,
            "line 1 has a thread id outside the column thread_id",
        ),
        (
            "thread_id = thread_a\nuser = u1\nand thread_b\n",
            None,
            "line 1 has a thread id outside the column thread_id",
        ),
        ('{"id": "thread_a", "id": "thread_b"}', None, "the file has a thread id that is lost when the JSON is read"),
        ('{"id": "thread_a"}\n{"id": "thread_b", "id": "thread_c"}', None, "line 2 has a thread id that is lost when"),
        ('["\\thread_a"]', None, "the file has a thread id that is lost when the JSON is read"),
        ("made thread_a\nThanks\n", None, "line 2 has no thread id, and other lines have one"),
        ("<p>hello you</p>\n<p>thread_a into thread_b</p>\n", None, "no list of thread ids: line 1 is.*: grep -oE"),
        ("PK\x03\x04\x00thread_a", None, "a zip file or an Excel workbook, and no text. Write the ids as text"),
        ("thread,moved_thread\nn/a,thread_a\nthread_b,thread_c\n", None, "which column has the thread ids"),
        ('[{"thread_id": "thread_a"}, {"threadRef": "thread_b"}]', None, "a thread id outside the column thread_id"),
        ("title|thread_id\na|b|thread_a\n", None, "line 2 has 3 cells, and the header 2"),
        (
            "thread_id,assistant_id\nthread_a,thread_b\n",
            None,
            "line 2: the assistant's id is 'thread_b', a thread's id",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(text: str, column: str | None, words: str) -> None:
    """Nothing is left out of a list because a part of it was not understood."""
    with pytest.raises(UnreadableIds, match=words.replace("?", r"\?")):
        read_list(text, column)


def test_ids_may_begin_late() -> None:
    """A database may sort the rows without a value first."""
    rows = "".join(f"u{number}," + ("\n" if number < 500 else f"thread_{number}\n") for number in range(510))
    form, entries = read_list(f"user,thread_id\n{rows}")
    assert (form, len(entries)) == ("ids: CSV, column thread_id, 10 ids, 500 rows without one", 10)


def test_ids_that_are_saved_already_may_have_any_shape() -> None:
    """Only a list that is asked for must look like one."""
    assert read_ids(b"1\n2\n") == [(1, "1"), (2, "2")]


def test_what_is_another_object_is_in_the_list_as_it_is() -> None:
    """It is named where it is: an export asks for the others."""
    assert read_ids(b"thread_a\nasst_1\nmsg_1\n") == [(1, "thread_a"), (2, "asst_1"), (3, "msg_1")]


# --- lines


@given(
    ENTRIES,
    st.lists(NOISE, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_ids_survive_how_the_file_was_written(ids: list[str], noise: list[str], line_end: str, encoding: str) -> None:
    """Blank lines, comments, line ends and byte order marks change neither the ids nor their order nor their lines."""
    lines = [*noise, *(f" {entry}\t" for entry in ids)]
    assert read_ids(line_end.join(lines).encode(encoding)) == list(enumerate(ids, len(noise) + 1))


def test_what_is_not_text_is_refused_with_its_line() -> None:
    """A picture is not a list of ids."""
    with pytest.raises(UnreadableIds, match="not utf-8 text: invalid start byte in line 2"):
        read_ids(b"thread_a\n\x89PNG")


def test_a_list_may_be_large_and_have_old_line_ends() -> None:
    """CR alone, as old spreadsheets write it. A line that is longer than any id is no list."""
    ids = [f"thread_{number}" for number in range(300_000)]
    assert read_ids("\r".join(ids).encode()) == list(enumerate(ids, 1))
    with pytest.raises(UnreadableIds, match="line 2 is longer than any id"):
        read_ids(b"thread_1\n" + b"x" * 1_100_000)


def test_utf_16_without_a_byte_order_mark_is_refused() -> None:
    """The alternative is a list of ids that cannot be read."""
    with pytest.raises(UnreadableIds, match="UTF-16 needs a byte order mark"):
        read_ids("thread_a\n".encode("utf-16-le"))


def test_a_byte_order_mark_in_the_middle_is_not_part_of_an_id() -> None:
    """A file that was appended to another one brings its mark."""
    assert read_ids("thread_a\n\ufeffthread_b\n".encode()) == [(1, "thread_a"), (2, "thread_b")]


@pytest.mark.parametrize(
    "text",
    [
        "thread_abc123",
        "thread_a.b",
        "thread_é",
        "18f14d98-25c2-11ef-825c-0242ac110003",
        "jan_1729768043",
        "clp1v0q9z0000356x8y2n5w3k",
        "1234",
        "x" * 256,
    ],
)
def test_an_id_may_have_any_shape(text: str) -> None:
    """Servers like the API's have their own."""
    assert is_thread_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *("asst_abc123", "msg_1", "run_1", "step_1", "file-1", "file_1", "vs_1", "conv_1", "sk-secret"),
        *(
            "thread_a/../b",
            "thread_a b",
            "thread_?x=1",
            '"thread_a"',
            "thread_a,",
            "thread_\x00",
            "",
            ".",
            "..",
            "x" * 257,
        ),
    ],
)
def test_what_is_plainly_none_is_malformed(text: str) -> None:
    """What cannot stand in a path never reaches a URL; nor does the id of another object."""
    assert not is_thread_id(text)


@pytest.mark.parametrize(
    "text", ["thread_a b", "thread_a/b", "thread_a?b=1", "thread_a\\b", "thread_a\tb", "thread_a.."]
)
def test_a_malformed_id_is_no_other_threads(text: str) -> None:
    """Its beginning may be the id of another thread, which nobody asked for."""
    ids = IdList(io.BytesIO(f"thread_1\nthread_2\n{text}\n".encode()), "ids")
    assert [one.thread_id for one in ids] == ["thread_1", "thread_2", text]
