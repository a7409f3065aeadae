"""The format csv: rows that every reader of CSV reads alike, and what a column cannot hold is named."""

import csv
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given

from converting import losses, put_bare, text_message
from strategies import raw_text
from table_rows import HOSTILE, escaped, expected_rows, odd_threads
from threadkeep import convert, from_message_json
from threadkeep.conversion.formats.csv import COLUMNS
from threadkeep.records.model import TextPart

JSON = ("images", "refusals", "annotations", "attachments", "metadata", "thread_metadata")


def written(folder: Path, messages: Iterable[Mapping[str, Any]], **options: Any) -> tuple[Path, list[dict[str, Any]]]:
    """The target, and the rows of the loss report."""
    out = put_bare(folder / "out.ndjson", messages, assistant_id="asst_1")
    done = convert(out, to="csv", target=folder / "target.csv", force=True, **options)
    return done.path, losses(done)


def table(path: Path) -> list[dict[str, str]]:
    """The rows as Python's own reader of CSV gives them."""
    csv.field_size_limit(2**31)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def texts_by_pandas(path: Path) -> list[str]:
    """The texts as pandas reads them, when told that they are texts."""
    return list(pd.read_csv(path, dtype=str, keep_default_na=False)["text"])


def texts_by_duckdb(path: Path) -> list[str]:
    """The texts as DuckDB reads them, when told that they are texts."""
    query = (
        "SELECT text FROM read_csv(?, header=true, all_varchar=true, delim=',', quote='\"', escape='\"', nullstr='')"
    )
    with duckdb.connect() as connection:
        return [text or "" for (text,) in connection.execute(query, [str(path)]).fetchall()]


@given(messages=odd_threads())
def test_every_message_is_a_row(messages: list[dict[str, Any]]) -> None:
    """In the order of OUT. What a column cannot hold as it is has a line in the report, and nothing else has one."""
    with tempfile.TemporaryDirectory() as folder:
        path, lost = written(Path(folder), messages)
        rows = table(path)
    named = {(row["message_id"], row["lost"]) for row in lost}
    unchanged = set[tuple[str, str]]()
    for message, row, expected in zip(messages, rows, expected_rows(messages), strict=True):
        assert tuple(row) == COLUMNS
        values = {name: _value(name, row[name]) for name in expected}
        assert values == {name: _as_field(name, value) for name, value in expected.items()}
        held = {**expected, "created_at": expected["created_at"] and message["created_at"]}
        names = ("role", "created_at", "run_id", "status")
        unchanged |= {(message["id"], name) for name in names if held[name] != message.get(name)}
    assert named == unchanged


@given(messages=odd_threads())
def test_every_part_is_in_the_row(messages: list[dict[str, Any]]) -> None:
    """In order: the text says it all, or the content is there as the API gave it."""
    with tempfile.TemporaryDirectory() as folder:
        rows = table(written(Path(folder), messages)[0])
    for message, row in zip(messages, rows, strict=True):
        if row["content"]:
            assert json.loads(row["content"]) == message["content"]
        else:
            parts = from_message_json(message, assistant_id=None).parts
            assert parts in ((TextPart(row["text"]),), ())


def _value(name: str, field: str) -> Any:
    """A field that is empty is None, but for a text."""
    if name in JSON:
        return json.loads(field) if field else None
    if name == "position":
        return int(field)
    return field if field or name == "text" else None


def _as_field(name: str, value: Any) -> Any:
    if name == "created_at" and value is not None:
        return value.isoformat().replace("+00:00", "Z")
    return None if value == "" and name != "text" else value


@pytest.mark.parametrize("read", [texts_by_pandas, texts_by_duckdb])
@given(messages=odd_threads())
def test_others_read_the_same_texts(read: Any, messages: list[dict[str, Any]]) -> None:
    """And as many rows."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = written(Path(folder), messages)
        assert read(path) == [row["text"] for row in table(path)]


@pytest.mark.parametrize("read", [texts_by_pandas, texts_by_duckdb])
def test_hostile_texts_are_read_unchanged(read: Any, tmp_path: Path) -> None:
    """Also those that a spreadsheet would take for a formula."""
    content = [[{"type": "text", "text": {"value": text, "annotations": []}}] for text in HOSTILE]
    path, lost = written(tmp_path, [text_message(n, content=one) for n, one in enumerate(content)])
    assert [row["text"] for row in table(path)] == [*HOSTILE]
    assert read(path) == [*HOSTILE]
    assert lost == []


def test_the_bytes_are_those_of_rfc_4180(tmp_path: Path) -> None:
    """CRLF between rows, every text in quotes, quotes doubled, and nothing at all for what is not there."""
    path, _ = written(tmp_path, [text_message(1, text='=1+"é"\n', created_at=0)])
    names, row = path.read_bytes().split(b"\r\n", 1)
    assert names.decode() == ",".join(COLUMNS)
    assert row == '"thread_a",0,"msg_1","user",1970-01-01T00:00:00Z,"=1+""é""\n","asst_1",,,,,,,,,\r\n'.encode()


@given(text=raw_text)
def test_a_flat_line_has_its_text(text: str) -> None:
    """A text that is no Unicode is in the content, as JSON."""
    message = text_message(1, content=[{"type": "text", "text": {"value": text, "annotations": []}}])
    with tempfile.TemporaryDirectory() as folder:
        out = put_bare(Path(folder, "out"), [message], flat=True)
        done = convert(out, to="csv", target=Path(folder, "t"))
        ((row,), rows) = table(done.path), losses(done)
    assert row["text"] == escaped(text)
    assert bool(row["content"]) == (row["text"] != text)
    assert not row["content"] or json.loads(row["content"]) == message["content"]
    assert rows == []
