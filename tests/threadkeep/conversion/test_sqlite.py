"""The SQLite database: what reads back, what its page promises, and what opens it."""

import contextlib
import io
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import losses, put_bare, text_message
from exporting import Export
from fake_assistants import FakeAssistants
from full_disk import full_disk
from ports import kept_port
from strategies import identifiers, json_values, odd_messages, raw_text
from threadkeep import Converted, MessageRecord, convert, decode, encode, from_message_json
from threadkeep.conversion.formats import sqlite
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import LossReport
from threadkeep.errors import OutputUnusable
from threadkeep.records.content import files_of
from threadkeep.records.model import (
    FileCitation,
    FilePath,
    ImageFilePart,
    ImageUrlPart,
    Part,
    RefusalPart,
    TextPart,
    UnknownAnnotation,
)
from threadkeep.serialization.lossless_json import dumps, loads

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "sqlite.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```sql\n(.*?)^```", PAGE, re.S | re.M)
KEYS = ("thread_id", "message_id", "role", "text", "created_at")


# --- databases


def cited(file_id: str, start: int) -> dict[str, Any]:
    """A citation by a marker of ten characters."""
    place = {"start_index": start, "end_index": start + 10}
    return {"type": "file_citation", "text": "【4:0†a.md】", "file_citation": {"file_id": file_id}, **place}


def world() -> FakeAssistants:
    """Two threads of two months with all that there is: citations, an attachment, an image, metadata, a run."""
    fake = FakeAssistants()
    attached = [{"file_id": "file-doc1", "tools": [{"type": "file_search"}]}]
    image = {"type": "image_file", "image_file": {"file_id": "file-img1", "detail": "low"}}
    answer = {
        "value": "See【4:0†a.md】 and 【4:0†a.md】.",
        "annotations": [cited("file-doc1", 3), cited("file-doc1", 18)],
    }
    plot = {"type": "image", "image": {"file_id": "file-img2"}}
    call = {"id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "plot()", "outputs": [plot]}}
    times = {"created_at": 1_774_963_801, "started_at": 1_774_963_802, "completed_at": 1_774_963_809}
    run = {"id": "run_1", "object": "thread.run", "thread_id": "thread_1", "assistant_id": "asst_1", **times}
    fake.load(
        {
            "threads": [
                {"id": "thread_1", "object": "thread", "created_at": 1_774_963_700, "metadata": {"user": "7"}},
                {"id": "thread_2", "object": "thread", "created_at": 1_774_963_700, "metadata": {}},
            ],
            "messages": [
                text_message(1, text="Is the Ínvoice paid?", thread_id="thread_1", attachments=attached),
                text_message(
                    2,
                    "assistant",
                    thread_id="thread_1",
                    assistant_id="asst_1",
                    run_id="run_1",
                    content=[{"type": "text", "text": answer}, image],
                ),
                text_message(3, thread_id="thread_2", created_at=1_777_000_000, metadata={"a": "b"}),
            ],
            "runs": [
                {
                    **run,
                    "status": "completed",
                    "model": "gpt-4o",
                    "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
                    "metadata": {"k": "v"},
                }
            ],
            "run_steps": [
                {
                    "id": "step_1",
                    "object": "thread.run.step",
                    "run_id": "run_1",
                    "thread_id": "thread_1",
                    "type": "tool_calls",
                    "status": "completed",
                    "created_at": 1_774_963_803,
                    "completed_at": 1_774_963_804,
                    "step_details": {"type": "tool_calls", "tool_calls": [call]},
                }
            ],
            "files": [{"id": "file-img1", "object": "file", "purpose": "vision", "filename": "a.png", "bytes": 2}],
            "file_contents": [{"id": "file-img1", "content": "aGk="}],
        }
    )
    return fake


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export of that world, complete with sidecars and downloads."""
    return Export(tmp_path).run_alone(["thread_1", "thread_2"], world(), include=("threads", "runs"), files=True)


@pytest.fixture
def target(export: Export, tmp_path: Path) -> Path:
    """Its database."""
    done = convert(export.paths.out, to="sqlite", target=tmp_path / "out.db")
    assert losses(done) == []
    assert done.no_place == ("contents of files",)
    return done.path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database, by the names of its columns."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        yield db


def rows(path: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query gives."""
    with opened(path) as db:
        return [tuple(row) for row in db.execute(query, values)]


def converted(folder: Path, messages: list[dict[str, Any]], *, flat: bool = False, **options: Any) -> Converted:
    """Convert messages of a file without index."""
    out = put_bare(folder / "out.ndjson", messages, flat=flat)
    return convert(out, to="sqlite", target=folder / "t.db", force=True, **options)


def check(path: Path) -> None:
    """Hold a database against all that SQLite itself can check: keys, pages, and the search against its texts."""
    with opened(path) as db:
        assert [*db.execute("PRAGMA foreign_key_check")] == []
        assert [tuple(row) for row in db.execute("PRAGMA integrity_check")] == [("ok",)]
        db.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES('integrity-check', 1)")


# --- what reads back


@st.composite
def threads_of_messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Odd messages of a few threads with odd ids, those of each together. An id may come twice."""
    found = []
    for thread_id in draw(st.lists(st.one_of(identifiers("thread_"), raw_text.filter(bool)), max_size=3, unique=True)):
        for message in draw(st.lists(odd_messages(), min_size=1, max_size=3)):
            message_id = draw(st.one_of(st.just(message["id"]), raw_text.filter(bool), st.just("msg_1")))
            found.append({**message, "id": message_id, "thread_id": thread_id})
    return found


def held(value: Any) -> Any:
    """What the page says that columns hold of a value."""
    if isinstance(value, str):
        return re.sub("[\0\ud800-\udfff]", "\ufffd", value)
    return None if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


def part_columns(part: Part) -> tuple[Any, ...]:
    """``type, text, file_id, url, detail, raw`` of a part, before `held`."""
    match part:
        case TextPart(value):
            return "text", value, None, None, None, None
        case ImageFilePart(file_id, detail):
            return "image_file", None, file_id, None, detail, None
        case ImageUrlPart(url, detail):
            return "image_url", None, None, url, detail, None
        case RefusalPart(refusal):
            return "refusal", refusal, None, None, None, None
    text = part.raw.get("text") if isinstance(part.raw, dict) else None
    return part.type, text if isinstance(text, str) else None, None, None, None, dumps(part.raw).decode()


def annotation_columns(one: FileCitation | FilePath | UnknownAnnotation) -> tuple[Any, ...]:
    """``type, text, file_id, start_index, end_index, quote, raw`` of an annotation, before `held`."""
    match one:
        case UnknownAnnotation(kind, raw):
            return kind, None, None, None, None, None, dumps(raw).decode()
        case FileCitation():
            return "file_citation", one.text, one.file_id, one.start_index, one.end_index, one.quote, None
    return "file_path", one.text, one.file_id, one.start_index, one.end_index, None, None


def listed(value: Any) -> list[Any]:
    """The attachments of a message, whatever it has there."""
    return value if isinstance(value, list) else [value] if value else []


@given(messages=threads_of_messages())
def test_everything_reads_back(messages: list[dict[str, Any]]) -> None:
    """Records from ``raw``, to the byte; columns are what the records have; all in order, and nothing is a loss."""
    records = [from_message_json(message, assistant_id=None) for message in messages]
    with tempfile.TemporaryDirectory() as folder:
        done = converted(Path(folder), messages)
        assert losses(done) == []
        check(done.path)
        with opened(done.path) as db:
            found = db.execute("SELECT * FROM messages JOIN threads USING (thread) ORDER BY message").fetchall()
            assert len(found) == len(records)
            for row, record in zip(found, records, strict=True):
                raw = db.execute("SELECT raw FROM messages WHERE message=?", (row["message"],)).fetchone()[0]
                assert raw == dumps(record.raw).decode()
                assert from_message_json(loads(raw.encode()), assistant_id=None) == record
                same_as_record(db, row, record)
    assert Counter(row["thread_id"] for row in found) == Counter(held(record.thread_id) for record in records)
    assert [row["position"] for row in found] == [
        number for count in Counter(record.thread_id for record in records).values() for number in range(count)
    ]


def same_as_record(db: sqlite3.Connection, row: sqlite3.Row, record: MessageRecord) -> None:
    """Compare the columns of a message, and the rows that belong to it."""
    assert [row[key] for key in KEYS[1:]] == [held(getattr(record, key)) for key in KEYS[1:]]
    if record.created_at is not None and 0 <= record.created_at < 253_402_300_800:
        assert row["month"] == datetime.fromtimestamp(record.created_at, UTC).strftime("%Y-%m")
    parts = db.execute("SELECT * FROM parts WHERE message=? ORDER BY position", (row["message"],)).fetchall()
    assert [tuple(part)[3:] for part in parts] == [tuple(map(held, part_columns(part))) for part in record.parts]
    for part, row_of_part in zip(record.parts, parts, strict=True):
        query = "SELECT * FROM annotations WHERE part=? ORDER BY position"
        annotations = [tuple(one)[3:] for one in db.execute(query, (row_of_part["part"],))]
        given_ones = getattr(part, "annotations", ())
        assert annotations == [tuple(map(held, annotation_columns(one))) for one in given_ones]
    query = "SELECT * FROM attachments WHERE message=? ORDER BY position"
    attachments = [loads(one["raw"].encode()) for one in db.execute(query, (row["message"],))]
    assert attachments == listed(record.raw.get("attachments"))


@given(messages=threads_of_messages())
def test_a_flat_export_reads_back_or_is_named(messages: list[dict[str, Any]]) -> None:
    """Texts and flat values are in their columns. What SQLite cannot hold has no raw value here: a loss for each."""
    with tempfile.TemporaryDirectory() as folder:
        done = converted(Path(folder), messages, flat=True)
        records = [decode(line) for line in Path(folder, "out.ndjson").read_bytes().split(b"\n")[:-1]]
        check(done.path)
        query = "SELECT thread_id, message_id, role, text, messages.created_at, messages.raw FROM messages"
        found, named = rows(done.path, f"{query} JOIN threads USING (thread) ORDER BY message"), losses(done)
        types = rows(done.path, "SELECT DISTINCT type FROM parts")
    assert found == [(*(held(getattr(record, key)) for key in KEYS), None) for record in records]
    assert set(types) <= {("text",)}
    changed = {
        (record.message_id, key)
        for record in records
        for key in KEYS[1:]
        if held(getattr(record, key)) != getattr(record, key)
    }
    assert {(row["message_id"], row["lost"]) for row in named if row["message_id"] is not None} == changed
    threads = dict.fromkeys(record.thread_id for record in records)
    odd = [(thread_id, "thread_id") for thread_id in threads if held(thread_id) != thread_id]
    assert [(row["thread_id"], row["lost"]) for row in named if row["message_id"] is None] == odd


_fields = st.dictionaries(
    st.sampled_from(["id", "type", "status", "model", "created_at", "usage", "metadata", "step_details", "file_id"]),
    st.one_of(json_values, st.just({"file_id": "file-1", "total_tokens": 2**70})),
)
_steps = st.lists(st.one_of(_fields, json_values), max_size=3)
_runs = st.builds(
    lambda run_id, run, steps: {"thread_id": "thread_1", "run_id": run_id, "run": run, "steps": steps},
    st.one_of(identifiers("run_"), json_values),
    st.one_of(_fields, json_values),
    st.one_of(_steps, json_values),
)


@attrs.frozen
class GivenThread:
    """A thread without messages, as formats are given it."""

    thread_id: str
    runs: tuple[Any, ...]
    thread: Mapping[str, Any] | None = None
    assistant_id: str | None = None
    files: Mapping[str, Path] = attrs.field(factory=dict)
    messages: int = 0
    is_flat: bool = False

    def records(self) -> Iterator[MessageRecord]:
        """None."""
        return iter(())


@given(runs=st.lists(_runs, max_size=3), thread=st.one_of(st.none(), _fields))
def test_runs_and_steps_read_back(runs: list[Any], thread: dict[str, Any] | None) -> None:
    """Whatever they hold, in order, with the files that steps refer to; and so does the thread object."""
    threads: Any = [GivenThread("thread_1", tuple(runs), thread), GivenThread("thread_2", tuple(runs[:1]))]
    with tempfile.TemporaryDirectory() as folder:
        path, report = Path(folder, "t.db"), LossReport(io.BytesIO())
        sqlite.write(threads, path, Conversion(out=Path(folder, "out"), options=Options(), losses=report))
        check(path)
        objects = rows(path, "SELECT raw FROM threads")
        found = rows(path, "SELECT thread, raw FROM runs ORDER BY run")
        steps = rows(path, "SELECT run, raw FROM steps ORDER BY step")
        files = rows(
            path, "SELECT steps.run, file_id FROM step_files JOIN steps USING (step) ORDER BY step_files.rowid"
        )
    assert report.totals == {}
    assert objects == [(None if thread is None else dumps(thread).decode(),), (None,)]
    expected = [(thread_key, row) for thread_key, given in ((1, runs), (2, runs[:1])) for row in given]
    assert found == [(key, None if row["run"] is None else dumps(row["run"]).decode()) for key, row in expected]
    all_steps = [(key, step) for key, (_, row) in enumerate(expected, 1) for step in listed(row["steps"])]
    assert steps == [(key, None if step is None else dumps(step).decode()) for key, step in all_steps]
    named = [(key, held(file_id)) for key, step in all_steps if isinstance(step, dict) for file_id in files_of(step)]
    assert files == named


def test_nothing_depends_on_the_batches(export: Export, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row at a time, one message at a time in the search, and the same comes of it."""
    monkeypatch.setattr(sqlite._Rows, "_MOST_ROWS", 1)
    monkeypatch.setattr(sqlite, "_AT_ONCE", 1)
    again = convert(export.paths.out, to="sqlite", target=target.with_name("again.db")).path
    check(again)
    for (table,) in rows(
        target, "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'messages_fts_%'"
    ):
        assert rows(again, f"SELECT * FROM {table}") == rows(target, f"SELECT * FROM {table}")


# --- an export with everything


def test_the_tables_of_an_export(target: Path) -> None:
    """Keys lead from one to the other; files that anything refers to have a row, with the name of the download."""
    check(target)
    query = "SELECT message_id, runs.run_id, step_id FROM messages JOIN runs USING (run) JOIN steps USING (run)"
    assert rows(target, query) == [("msg_2", "run_1", "step_1")]
    assert rows(target, "SELECT * FROM files ORDER BY file_id") == [
        ("file-doc1", None),
        ("file-img1", "file-img1.png"),
        ("file-img2", None),
    ]
    query = "SELECT status, model, started_at, total_tokens, json_extract(metadata, '$.k') FROM runs"
    assert rows(target, query) == [("completed", "gpt-4o", 1_774_963_802, 11, "v")]
    assert rows(target, "SELECT json_extract(raw, '$.metadata.user'), created_at FROM threads") == [
        ("7", 1_774_963_700),
        (None, 1_774_963_700),
    ]
    query = "SELECT json_extract(tools, '$[0].type') FROM attachments"
    assert rows(target, query) == [("file_search",)]


VIEWS: dict[str, list[tuple[Any, ...]]] = {
    "conversations": [
        (1, "thread_1", 0, "msg_1", "user", "2026-03-31T13:30:00Z", "Is the Ínvoice paid?"),
        (2, "thread_1", 1, "msg_2", "assistant", "2026-03-31T13:30:00Z", "See【4:0†a.md】 and 【4:0†a.md】."),
        (3, "thread_2", 0, "msg_3", "user", "2026-04-24T03:06:40Z", "text 3"),
    ],
    "transcripts": [
        ("thread_1", "user: Is the Ínvoice paid?\n\nassistant: See【4:0†a.md】 and 【4:0†a.md】."),
        ("thread_2", "user: text 3"),
    ],
    "messages_by_thread": [
        ("thread_1", "asst_abc123", 2, "2026-03-31T13:30:00Z", "2026-03-31T13:30:00Z"),
        ("thread_2", "asst_abc123", 1, "2026-04-24T03:06:40Z", "2026-04-24T03:06:40Z"),
    ],
    "messages_by_month": [("2026-03", 2, 1, 1), ("2026-04", 1, 1, 0)],
    "assistants": [("asst_1", 0, 1, 1), ("asst_abc123", 2, 0, 0)],
    "file_references": [
        ("file-doc1", None, "attachment", "thread_1", "msg_1", "user", None, "2026-03-31T13:30:00Z"),
        ("file-doc1", None, "file_citation", "thread_1", "msg_2", "assistant", "run_1", "2026-03-31T13:30:00Z"),
        ("file-doc1", None, "file_citation", "thread_1", "msg_2", "assistant", "run_1", "2026-03-31T13:30:00Z"),
        ("file-img1", "file-img1.png", "image_file", "thread_1", "msg_2", "assistant", "run_1", "2026-03-31T13:30:00Z"),
        ("file-img2", None, "step", "thread_1", None, None, "run_1", "2026-03-31T13:30:03Z"),
    ],
    "citations_by_file": [("file-doc1", None, 2, 1, 1)],
    "run_times": [
        (
            *("thread_1", "run_1", "asst_1", "gpt-4o", "completed"),
            *("2026-03-31T13:30:01Z", "2026-03-31T13:30:02Z", "2026-03-31T13:30:09Z", 7, 11),
        )
    ],
}


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_answer_their_questions(view: str, target: Path) -> None:
    """Each for an export that has everything."""
    assert sorted(rows(target, f"SELECT * FROM {view}"), key=repr) == sorted(VIEWS[view], key=repr)


def test_the_views_that_are_tested_are_all(target: Path) -> None:
    """No view is left out above."""
    assert {name for (name,) in rows(target, "SELECT name FROM sqlite_master WHERE type='view'")} == VIEWS.keys()


def test_an_empty_thread_is_in_the_views(tmp_path: Path) -> None:
    """With no messages and no times; a database of nothing at all has its tables."""
    fake = FakeAssistants()
    fake.load({"threads": [{"id": "thread_1", "object": "thread", "metadata": {}}]})
    export = Export(tmp_path).run_alone(["thread_1"], fake)
    done = convert(export.paths.out, to="sqlite", target=tmp_path / "t.db")
    check(done.path)
    assert rows(done.path, "SELECT * FROM messages_by_thread") == [("thread_1", "asst_abc123", 0, None, None)]
    assert rows(done.path, "SELECT * FROM transcripts") == [("thread_1", None)]
    (tmp_path / "empty").touch()
    nothing = convert(tmp_path / "empty", to="sqlite", target=tmp_path / "u.db")
    check(nothing.path)
    assert rows(nothing.path, "SELECT * FROM messages_by_month") == []


# --- options


def test_citations_are_changed_in_texts_only(export: Export, tmp_path: Path) -> None:
    """Annotations and raw stay as they are, so nothing is lost."""
    texts = {}
    for citations in ("keep", "strip", "footnotes"):
        done = convert(export.paths.out, to="sqlite", target=tmp_path / citations, citations=citations)
        assert losses(done) == []
        check(done.path)
        (texts[citations],) = rows(
            done.path,
            "SELECT messages.text, parts.text, count(*), json_extract(messages.raw, '$.content[0].text.value')"
            " FROM messages JOIN parts USING (message) JOIN annotations USING (part) WHERE message_id='msg_2'",
        )
    kept = "See【4:0†a.md】 and 【4:0†a.md】."
    noted = "See[1] and [1].\n\n[1] a.md (file-doc1)"
    assert texts == {
        "keep": (kept, kept, 2, kept),
        "strip": ("See and .", "See and .", 2, kept),
        "footnotes": (noted, noted, 2, kept),
    }


def test_images_as_urls(export: Export, tmp_path: Path) -> None:
    """With the name of the download, or its content; the id stays. An image that is not there has its id only."""
    options: dict[str, Any]
    query = "SELECT file_id, url, detail FROM parts WHERE type='image_file'"
    for options, url in (
        ({}, None),
        ({"files_url": "http://x/f"}, "http://x/f/file-img1.png"),
        ({"inline_images": True}, "data:image/png;base64,aGk="),
    ):
        done = convert(export.paths.out, to="sqlite", target=tmp_path / "t.db", force=True, **options)
        assert rows(done.path, query) == [("file-img1", url, "low")]
    for path in export.paths.files.iterdir():
        path.unlink()
    done = convert(export.paths.out, to="sqlite", target=tmp_path / "gone.db", inline_images=True)
    assert rows(done.path, query) == [("file-img1", None, "low")]
    image = {"type": "image_file", "image_file": {"file_id": "file-x"}}
    (tmp_path / "bare").mkdir()
    bare = converted(tmp_path / "bare", [text_message(1, content=[image])], files_url="http://x/")
    assert rows(bare.path, query) == [("file-x", "http://x/file-x", None)]


# --- texts


@pytest.mark.parametrize("words", ["cafe", "CAFÉ", '"a cafe"', "caf*", "text:cafe"])
def test_the_search_knows_no_case_and_no_accents(words: str, tmp_path: Path) -> None:
    """Of words, phrases and beginnings."""
    done = converted(tmp_path, [text_message(1, text="There is a Café."), text_message(2, text="Nowhere.")])
    assert rows(done.path, "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?", words) == [(1,)]


@pytest.mark.parametrize("odd", ["\0", "\ud800", "\u2028", "\u202e", "</script>", "'; DROP TABLE messages; --"])
def test_hostile_texts_are_found(odd: str, tmp_path: Path) -> None:
    """What is behind such characters is in the column and in the search; what they are is in ``raw``."""
    message = text_message(1, text=f"before{odd}behind", metadata={odd: odd})
    done = converted(tmp_path, [message])
    query = "SELECT text, length(text), metadata, raw FROM messages WHERE message IN"
    search = "(SELECT rowid FROM messages_fts WHERE messages_fts MATCH 'behind')"
    ((text, length, metadata, raw),) = rows(done.path, f"{query} {search}")
    assert (text, length) == (held(message["content"][0]["text"]["value"]), len(text))
    assert (json.loads(metadata), json.loads(raw)) == ({odd: odd}, message)


def test_a_very_long_text(tmp_path: Path) -> None:
    """It is in one piece, and found."""
    text = "word " * 1_000_000 + "end"
    done = converted(tmp_path, [text_message(1, text=text)])
    assert rows(done.path, "SELECT text FROM messages") == [(text,)]
    assert rows(done.path, "SELECT rowid FROM messages_fts WHERE messages_fts MATCH 'end'") == [(1,)]


def test_json_that_is_nested_too_deeply_is_named(tmp_path: Path) -> None:
    """It cannot be written again: the message has no raw value, and a line in the report. Its text is there.

    How deep that is depends on the version of Python.
    """
    line = encode(from_message_json(text_message(1), assistant_id=None))
    deep = b"[" * 1_000 + b"]" * 1_000
    (tmp_path / "out.ndjson").write_bytes(line.replace(b'"metadata":{}', b'"metadata":' + deep) + b"\n")
    done = convert(tmp_path / "out.ndjson", to="sqlite", target=tmp_path / "t.db")
    why = "its JSON is nested too deeply: it has no raw value"
    lost = {"thread_id": "thread_a", "message_id": "msg_1", "lost": "message", "why": why}
    ((text, raw, metadata),) = rows(done.path, "SELECT text, raw, metadata FROM messages")
    assert (text, raw is None, metadata is None) == ("text 1", bool(losses(done)), bool(losses(done)))
    assert losses(done) in ([lost], []) if sys.version_info >= (3, 14) else losses(done) == [lost]


# --- the file


def test_the_file_says_what_it_is(target: Path) -> None:
    """It has no journal, nothing is next to it but the report, and its marks are those of the page."""
    (application, version) = rows(target, "PRAGMA application_id")[0] + rows(target, "PRAGMA user_version")[0]
    assert f"`application_id` {application} and `user_version` {version}," in " ".join(PAGE.split())
    assert rows(target, "PRAGMA journal_mode") == [("delete",)]
    assert [path.name for path in target.parent.glob("out.db*")] == ["out.db", "out.db.losses.ndjson"]


def test_the_page_is_the_schema() -> None:
    """Every table and view of the database has a row on the page, with its columns in order, and no other has."""
    said = {}
    for name, cells in re.findall(r"^\| `(\w+)` \| [^|]* \| (.*) \|$", PAGE, re.M):
        said[name] = re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)|;.*", "", cells))
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(sqlite._TABLES + sqlite._SEARCH + ";" + sqlite._VIEWS)
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE sql NOT NULL")]
        schema = {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names}
    shadows = {name for name in schema if name.startswith("messages_fts_")}
    assert said == {name: columns for name, columns in schema.items() if name not in shadows}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_answer(example: str, target: Path) -> None:
    """With rows, from an export that has what they ask for."""
    assert len(rows(target, example)) > 0


def test_the_page_has_six_examples() -> None:
    """All of them are read from the page."""
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize(
    "query",
    [
        *EXAMPLES[:3],
        "SELECT * FROM messages_by_thread WHERE thread_id='thread_1'",
        "SELECT * FROM messages WHERE message_id='msg_1'",
        "SELECT * FROM file_references WHERE thread_id='thread_1'",
        "SELECT * FROM file_references WHERE file_id='file-doc1'",
        "SELECT * FROM assistants",
    ],
)
def test_usual_questions_read_no_table_from_end_to_end(query: str, target: Path) -> None:
    """They are answered from indexes, so that a million messages make no difference."""
    plan = [row[3] for row in rows(target, f"EXPLAIN QUERY PLAN {query}")]
    tables = "threads|messages|parts|annotations|attachments|runs|steps|step_files"
    assert [step for step in plan if re.match(rf"SCAN ({tables})( USING INDEX \w+)?$", step)] == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """It is named, wherever it is full."""
    messages = [text_message(n) for n in range(2_000)]
    size = converted(tmp_path, messages).path.stat().st_size
    for room in (0, 10_000, size // 2, size - 1):
        with full_disk(room), pytest.raises(OutputUnusable, match=r"new.db: SQLite cannot write it: "):
            convert(tmp_path / "out.ndjson", to="sqlite", target=tmp_path / "new.db")
        assert {path.name for path in tmp_path.iterdir()} == {"out.ndjson", "t.db", "t.db.losses.ndjson"}


# --- others' programs


def test_the_shell_of_sqlite_reads_it(target: Path) -> None:
    """A thread, a month and a search, as JSON; what it writes out and reads again is the same."""
    queries = [EXAMPLES[0], "SELECT * FROM messages_by_month;", EXAMPLES[1]]
    for query in queries:
        shown = subprocess.run(["sqlite3", "-json", "-readonly", target, query], capture_output=True, check=True)
        with opened(target) as db:
            assert json.loads(shown.stdout) == [dict(row) for row in db.execute(query)]


def test_datasette_serves_it(target: Path) -> None:
    """A table, a view, a search and a link between tables, by its JSON API on loopback."""
    with kept_port() as port:
        command = [sys.executable, "-m", "datasette", "serve", "--host", "127.0.0.1", "--port", str(port), str(target)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert any("Uvicorn running" in line for line in server.stderr or ())  # from then on it listens
                serves(f"http://127.0.0.1:{port}/out")
            finally:
                server.kill()


def serves(address: str) -> None:
    """Ask Datasette for what the page promises."""

    def asked(path: str) -> Any:
        with urllib.request.urlopen(f"{address}{path}") as reply:
            return json.load(reply)

    tables = {row["name"]: row for row in asked(".json")["tables"] if not row["hidden"]}
    assert {name for name in tables if not name.startswith("messages_fts")} == set(
        re.findall(r"CREATE TABLE (\w+)", sqlite._TABLES)
    )
    assert tables["messages"]["fts_table"] == "messages_fts"
    keys = {(key["column"], key["other_table"]) for key in tables["messages"]["foreign_keys"]["outgoing"]}
    assert keys == {("thread", "threads"), ("run", "runs")}
    texts = [row["text"] for row in asked("/messages.json?_shape=array")]
    assert texts == [row[6] for row in VIEWS["conversations"]]
    months = asked("/messages_by_month.json?_shape=array")
    assert [tuple(row.values()) for row in months] == VIEWS["messages_by_month"]
    found = asked("/messages.json?_shape=array&_search=invoice")
    assert [row["message_id"] for row in found] == ["msg_1"]
    answered = asked(f".json?_shape=array&sql={quote(EXAMPLES[1].strip().rstrip(';'))}")
    assert [row["found"] for row in answered] == ["Is the [Ínvoice] paid?"]
