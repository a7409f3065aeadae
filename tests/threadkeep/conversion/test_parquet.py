"""The format parquet: DuckDB and pandas read every message, unchanged and in the order of OUT."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import losses, put_bare, text_message
from fake_assistants import FakeAssistants
from full_disk import full_disk
from strategies import raw_text
from table_rows import HOSTILE, escaped, expected_rows, odd_threads
from threadkeep import FormatName, OutputUnusable, convert, export, from_message_json, read, to_flat
from threadkeep.conversion.formats import parquet
from threadkeep.serialization.lossless_json import dumps

JSON = ("images", "refusals", "annotations", "attachments", "metadata", "thread_metadata")

RECORD = from_message_json(text_message(1, run_id="run_1"), assistant_id="asst_1")


def written(folder: Path, messages: Iterable[Mapping[str, Any]], **options: Any) -> tuple[Path, list[dict[str, Any]]]:
    """The target, and the rows of the loss report."""
    out = put_bare(folder / "out.ndjson", messages, assistant_id="asst_1")
    done = convert(out, to="parquet", target=folder / "target.parquet", force=True, **options)
    return done.path, losses(done)


def table(path: Path) -> list[dict[str, Any]]:
    """The rows as DuckDB reads them."""
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@given(messages=odd_threads())
def test_every_message_is_a_row(messages: list[dict[str, Any]]) -> None:
    """In the order of OUT, with every value, and the message itself as JSON. So nothing is lost."""
    with tempfile.TemporaryDirectory() as folder:
        path, lost = written(Path(folder), messages)
        rows = table(path)
    assert lost == []
    for message, row, expected in zip(messages, rows, expected_rows(messages), strict=True):
        assert tuple(row) == parquet.COLUMNS
        assert row["raw"].encode() == dumps(message)
        assert {name: _value(name, row[name]) for name in expected} == expected


def _value(name: str, held: Any) -> Any:
    return json.loads(held) if name in JSON and held is not None else held


def test_hostile_texts_are_read_unchanged(tmp_path: Path) -> None:
    """By DuckDB, and by pandas through it."""
    content = [[{"type": "text", "text": {"value": text, "annotations": []}}] for text in HOSTILE]
    path, lost = written(tmp_path, [text_message(n, content=one) for n, one in enumerate(content)])
    assert [row["text"] for row in table(path)] == [*HOSTILE]
    with duckdb.connect() as connection:
        frame = connection.read_parquet(str(path)).df()
    assert list(frame["text"]) == [*HOSTILE]
    assert str(frame["created_at"].dt.tz_convert("UTC")[0]) == "2026-03-31 13:30:00+00:00"
    assert lost == []


@given(text=raw_text, message_id=raw_text.filter(bool))
def test_a_flat_line_has_its_text(text: str, message_id: str) -> None:
    """It has no message. So a text or an id that is no Unicode is escaped, and named."""
    message = {**text_message(1, content=[{"type": "text", "text": {"value": text}}]), "id": message_id}
    with tempfile.TemporaryDirectory() as folder:
        out = put_bare(Path(folder, "out"), [message], flat=True)
        done = convert(out, to="parquet", target=Path(folder, "t"))
        ((row,), rows) = table(done.path), losses(done)
    assert (row["text"], row["message_id"], row["raw"]) == (escaped(text), escaped(message_id), None)
    changed = {name for name, value in (("text", text), ("message_id", message_id)) if value != row[name]}
    assert {loss["lost"] for loss in rows} == changed
    assert all(loss["message_id"] == message_id for loss in rows)


@given(
    assistant_id=raw_text.filter(bool),
    created_at=st.sampled_from([0, -1, -62_135_596_801, 253_402_300_799, 253_402_300_800, 2**63, 2**64]),
    flat=st.booleans(),
)
def test_what_no_column_holds_is_named(assistant_id: str, created_at: int, flat: bool) -> None:
    """The assistant of the export is not in the message; a time that no calendar has is, and not in a flat line."""
    message = text_message(1, created_at=created_at)
    has_time = -62_135_596_800 <= created_at <= 253_402_300_799
    with tempfile.TemporaryDirectory() as folder:
        out = put_bare(Path(folder, "out"), [message], flat=flat, assistant_id=assistant_id)
        done = convert(out, to="parquet", target=Path(folder, "t"))
        ((row,), rows) = table(done.path), losses(done)
    assert row["assistant_id"] == escaped(assistant_id)
    assert (row["created_at"] is not None) == has_time
    expected = {"assistant_id"} if row["assistant_id"] != assistant_id else set()
    assert {loss["lost"] for loss in rows} == expected | ({"created_at"} if flat and not has_time else set())


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_a_thread_has_its_metadata_in_each_row(to: FormatName, tmp_path: Path) -> None:
    """A thread without messages has no row, and is named."""
    fake, metadata = FakeAssistants(), {"thread_a": {"user": "7"}, "thread_b": {"user": "8"}, "thread_c": {}}
    threads = [{"id": thread_id, "metadata": pairs} for thread_id, pairs in metadata.items()]
    fake.load({"threads": threads})
    fake.load({"messages": [text_message(1), text_message(2), text_message(3, thread_id="thread_c")]})
    with fake.serve() as server:
        export([*metadata], "asst_1", tmp_path / "o", base_url=server.base_url, api_key="sk-test", include=["threads"])
    done = convert(tmp_path / "o", to=to, target=tmp_path / "t")
    with duckdb.connect() as connection:
        query = f"SELECT message_id, thread_metadata FROM read_{to}('{tmp_path / 't'}')"
        rows = connection.execute(query).fetchall()
    assert rows == [("msg_1", '{"user":"7"}'), ("msg_2", '{"user":"7"}'), ("msg_3", None)]
    assert [(row["thread_id"], row["message_id"], row["lost"]) for row in losses(done)] == [
        ("thread_b", None, "thread")
    ]


def test_json_functions_take_every_row_but_those_with_lone_surrogates(tmp_path: Path) -> None:
    """DuckDB refuses such a message, which is exact, unless it is asked to try."""
    path, _ = written(tmp_path, [text_message(1, text="a"), text_message(2, text="\ud800"), text_message(3, text="\0")])
    with duckdb.connect() as connection:
        query = "SELECT raw->>'$.id' FROM read_parquet(?)"
        with pytest.raises(duckdb.InvalidInputException):
            connection.execute(query, [str(path)]).fetchall()
        found = connection.execute("SELECT try(raw->>'$.id'), text FROM read_parquet(?)", [str(path)]).fetchall()
    assert found == [("msg_1", "a"), (None, "\\ud800"), ("msg_3", "\0")]


def test_order_is_that_of_out_in_many_row_groups(tmp_path: Path) -> None:
    """Rows of many sizes, in a few threads, fill several groups."""
    sizes = [1, 250_000, 7_000] * 150
    path, _ = written(tmp_path, (text_message(n, text=f"{n} " + "é" * size) for n, size in enumerate(sizes)))
    assert [row["message_id"] for row in table(path)] == [f"msg_{n}" for n in range(len(sizes))]
    with duckdb.connect() as connection:
        (groups,) = connection.execute(
            "SELECT count(DISTINCT row_group_id) FROM parquet_metadata(?)", [str(path)]
        ).fetchall()[0]
    assert groups > 3


def test_a_message_of_any_length_is_written(tmp_path: Path) -> None:
    """One that is longer than what DuckDB reads and holds by itself: 16 MiB a line."""
    text = '"\\\n' * 6_000_000
    path, _ = written(tmp_path, [text_message(1), text_message(2, text=text), text_message(3)])
    assert [len(row["text"]) for row in table(path)] == [6, len(text), 6]


@pytest.mark.parametrize("name", ["a*b", "a?", "[a]", "{a,b}", 'it\'s "so" %20', "a\nb", "~", "$HOME", "s3:", "é 🌮"])
def test_any_name_is_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file and of its folder; nothing of it is a pattern, or SQL."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    out = put_bare(Path("out.ndjson"), [text_message(1)])
    convert(out, to="parquet", target=name)
    assert {path.name for path in folder.iterdir()} == {"out.ndjson", name, f"{name}.losses.ndjson"}
    monkeypatch.chdir(tmp_path)
    (folder / name).rename(tmp_path / "plain")
    assert [row["text"] for row in table(tmp_path / "plain")] == ["text 1"]


def test_a_name_that_is_no_utf_8_is_refused(tmp_path: Path) -> None:
    """DuckDB takes no such name."""
    out = put_bare(tmp_path / "out.ndjson", [text_message(1)])
    with pytest.raises(OutputUnusable, match="in UTF-8"):
        convert(out, to="parquet", target=os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    assert {path.name for path in tmp_path.iterdir()} == {"out.ndjson"}


def test_images_have_urls_and_citations_footnotes(tmp_path: Path) -> None:
    """As asked for, in the columns; the message stays as it is."""
    cited = {
        "type": "file_citation",
        "text": "【1】",
        "start_index": 1,
        "end_index": 4,
        "file_citation": {"file_id": "file-2"},
    }
    content = [
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
        {"type": "text", "text": {"value": "a【1】b", "annotations": [cited]}},
        {"type": "thinking", "text": "c"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    message = text_message(1, content=content)
    path, lost = written(tmp_path, [message], citations="strip", files_url="https://files")
    (row,) = table(path)
    assert row["text"] == "ab\nc"
    assert json.loads(row["images"]) == [
        {"type": "image_file", "file_id": "file-1", "url": "https://files/file-1", "detail": "low"},
        {"type": "image_url", "url": "https://example.com/a.png"},
    ]
    assert json.loads(row["annotations"]) == [cited]
    assert json.loads(row["raw"]) == message
    assert lost == []
    path, lost = written(tmp_path, [message], citations="footnotes", inline_images=True)
    (row,) = table(path)
    assert row["text"] == "a[1]b\n\n[1] file-2\nc"
    assert json.loads(row["images"])[0] == {"type": "image_file", "file_id": "file-1", "detail": "low"}
    assert lost == []


def test_downloaded_images_are_inline(tmp_path: Path) -> None:
    """One that was not downloaded, or cannot be read, is there by its id."""
    fake = FakeAssistants()
    ids = ("file-1", "file-2", "file-3")
    content = [{"type": "image_file", "image_file": {"file_id": file_id}} for file_id in ids]
    files = [{"id": one, "object": "file", "filename": f"{one}.png", "bytes": 1, "created_at": 1} for one in ids[:2]]
    contents = [{"id": one, "content": "iQ=="} for one in ids[:2]]
    fake.load({"threads": [{"id": "thread_a"}], "messages": [text_message(1, content=content)]})
    fake.load({"files": files, "file_contents": contents})
    with fake.serve() as server:
        export(["thread_a"], "asst_1", tmp_path / "o", base_url=server.base_url, api_key="sk-test", files=True)
    with read(tmp_path / "o") as exported:
        broken = exported["thread_a"].files["file-2"]
    broken.unlink()
    broken.symlink_to(tmp_path)
    done = convert(tmp_path / "o", to="parquet", target=tmp_path / "t", inline_images=True)
    (row,) = table(done.path)
    assert json.loads(row["images"]) == [
        {"type": "image_file", "file_id": "file-1", "url": "data:image/png;base64,iQ=="},
        {"type": "image_file", "file_id": "file-2"},
        {"type": "image_file", "file_id": "file-3"},
    ]


@pytest.mark.parametrize(
    "line",
    [
        lambda line: line,
        lambda line: {"x": {"a": 1, "message": {"run_id": "run_x"}}, **line},
        lambda line: {**line, "x": {"a": 1, "message": {"run_id": "run_x"}}},
        lambda line: {**line, "x": [{"a": 1, "message": {}}]},
        lambda line: {"message": line.pop("message"), **line},
        lambda line: {**line, "message": {**line["message"], "message": {"run_id": "run_x"}, "status": None}},
        lambda line: {**line, "message": {**line["message"], "run_id": 5}},
    ],
)
@pytest.mark.parametrize("layout", [{"separators": (",", ":")}, {}])
def test_the_message_is_that_of_its_line(line: Any, layout: dict[str, Any], tmp_path: Path) -> None:
    """Whatever else has its name on a line that somebody else has written, and however it is laid out."""
    written = line({**to_flat(RECORD), "message": dict(RECORD.raw)})
    (tmp_path / "o").write_text(json.dumps(written, **layout) + "\r\n")
    (row,) = table(convert(tmp_path / "o", to="parquet", target=tmp_path / "t").path)
    assert json.loads(row["raw"]) == written["message"]
    assert row["run_id"] == (None if written["message"]["run_id"] == 5 else "run_1")


def test_ctrl_c_ends_a_query_at_once() -> None:
    """DuckDB is interrupted; it would look for signals at the end only."""
    called = 0

    def once(_number: int) -> int:
        nonlocal called
        called += 1
        if called == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return 1

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it

    try:
        with duckdb.connect() as connection:
            connection.create_function("once", once, ["BIGINT"], "BIGINT")
            with pytest.raises(KeyboardInterrupt):
                parquet._run(connection, "SELECT sum(once(range)) FROM range(1_000_000_000_000)")
    finally:
        signal.signal(signal.SIGINT, before)
    assert called


@pytest.mark.parametrize(("messages", "refused"), [(300, "new: File too large"), (1, "new: DuckDB cannot write it")])
def test_a_full_disk_leaves_nothing(messages: int, refused: str, tmp_path: Path) -> None:
    """Whether the rows for DuckDB do not fit, or what it writes: of one message, that is larger."""
    out = put_bare(tmp_path / "o", map(text_message, range(messages)))
    with full_disk(1_000), pytest.raises(OutputUnusable, match=refused):
        convert(out, to="parquet", target=tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"o"}


@pytest.mark.parametrize("found", ["raise ImportError", "__version__ = '1.4.5'"])
def test_without_duckdb_the_extra_is_named(found: str, tmp_path: Path) -> None:
    """With exit code 2, and nothing is left. Other formats and the help need no DuckDB."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "duckdb.py").write_text(found)
    put_bare(tmp_path / "o", [text_message(1)])
    path = os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "threadkeep", "convert", *arguments]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)

    done = run("o", "--to", "parquet", "-o", "t")
    assert (done.returncode, "pip install 'threadkeep[parquet]'" in done.stderr) == (2, True)
    assert {one.name for one in tmp_path.iterdir()} == {"o", "modules"}
    assert run("--help").returncode == run("o", "--to", "csv", "-o", "t").returncode == 0
