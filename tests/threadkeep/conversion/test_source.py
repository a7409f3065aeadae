"""Threads as conversions read them: nothing is plain that is more than a text, and every record is read alike."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import put_bare, text_message
from exports import write_ids
from strategies import messages, odd_messages
from threadkeep import MalformedLine, MessageRecord, OutputUnusable, decode, read
from threadkeep.conversion.source import PlainMessage, Source, Thread, UnknownThread
from threadkeep.errors import ThreadkeepError
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.lines import blocks


def threads_of(path: Path, **options: Any) -> tuple[Source, list[Thread], list[list[Any]]]:
    """The source when it was read to its end, its threads and their messages."""
    with read(path) as export:
        source = Source(export, options.get("only"), lambda _event: None)
        found, turns = [], []
        for thread in source:
            found.append(thread)
            turns.append([*thread.turns()])
    return source, found, turns


def fields(turn: Any) -> list[Any]:
    """What every message has."""
    names = ("thread_id", "assistant_id", "message_id", "role", "text", "created_at")
    return [(type(getattr(turn, name)), getattr(turn, name)) for name in names]


@given(st.lists(st.one_of(messages(thread_id="thread_a"), odd_messages()), min_size=1, max_size=4), st.booleans())
def test_a_plain_message_is_its_record(drawn: list[dict[str, Any]], flat: bool) -> None:
    """It has the same values, and there is nothing else that any format could lose."""
    drawn = [{**message, "thread_id": "thread_a"} for message in drawn]
    with tempfile.TemporaryDirectory() as folder:
        path = put_bare(Path(folder, "o"), drawn, flat=flat)
        records = [decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
        source, _, (turns,) = threads_of(path)
    assert source.is_flat is flat
    assert source.messages == len(drawn)
    for turn, record in zip(turns, records, strict=True):
        assert fields(turn) == fields(record)
        raw = record.raw
        if isinstance(turn, PlainMessage):
            assert record.role in ("user", "assistant")
            assert [(part.value, part.annotations) for part in record.parts] == [(record.text, ())]  # type: ignore[union-attr]
            assert not raw.get("attachments")
            assert not raw.get("metadata")
        else:
            assert turn == record


def test_an_ordinary_message_is_plain(tmp_path: Path) -> None:
    """Or the speed of a conversion is lost: of the API's form, and a flat one."""
    for flat in (False, True):
        _, _, (turns,) = threads_of(
            put_bare(tmp_path / "o", [text_message(1), text_message(2, "assistant")], flat=flat)
        )
        assert [type(turn) for turn in turns] == [PlainMessage, PlainMessage]


@pytest.mark.parametrize(
    "change",
    [
        {"text": "other"},
        {"role": "assistant"},
        {"message_id": "other"},
        {"thread_id": "other"},
        {"created_at": 1},
        {"created_at": "1"},
        {"message": None},
        {"message": {"id": "msg_1"}},
        {"assistant_id": 1},
    ],
)
def test_a_line_that_contradicts_itself_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    """As the reader refuses it, with the thread and the place in it."""
    value = json.loads(put_bare(tmp_path / "o", [text_message(1)]).read_bytes())
    line = dumps({**value, **change})
    with pytest.raises(MalformedLine):
        decode(line)
    index = tmp_path / "o.index"
    header = {"format": "threadkeep-index/1", "source": "x", "assistant_id": "x", "flat": False, "include": []}
    row = {"thread_id": "thread_a", "assistant_id": None, "outcome": "complete", "offset": 0, "bytes": len(line) + 1}
    index.write_bytes(dumps(header) + b"\n" + dumps({**row, "sha256": "0" * 64}) + b"\n")
    (tmp_path / "o").write_bytes(line + b"\n")
    with pytest.raises(MalformedLine, match="o, message 1 of thread_a: "):
        threads_of(tmp_path / "o")


def test_only_some_threads(tmp_path: Path) -> None:
    """In the order of OUT, whatever order is asked for; one that is not there is named."""
    path = put_bare(tmp_path / "o", [text_message(n, thread_id=f"thread_{n}") for n in range(4)])
    source, found, _ = threads_of(path, only={"thread_3", "thread_1"})
    assert [thread.thread_id for thread in found] == ["thread_1", "thread_3"]
    assert (source.threads, source.messages) == (2, 2)
    with pytest.raises(UnknownThread, match="thread_9 is not a complete thread of"):
        threads_of(path, only={"thread_1", "thread_9"})


def test_a_thread_whose_lines_are_not_together_is_refused(tmp_path: Path) -> None:
    """It would be two threads of one id."""
    path = put_bare(tmp_path / "o", [text_message(n, thread_id=f"thread_{n % 2}") for n in range(4)])
    with pytest.raises(OutputUnusable, match="the lines of thread_0 are not together"):
        threads_of(path)


def test_a_thread_can_be_read_again(tmp_path: Path) -> None:
    """Also while it is read, and as records; blank lines are none."""
    path = put_bare(tmp_path / "o", [text_message(n) for n in range(3)])
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\n", 1))
    with read(path) as export:
        for thread in Source(export, None, lambda _event: None):
            pairs = [(turn.message_id, [record.message_id for record in thread.records()]) for turn in thread.turns()]
            assert pairs == [(f"msg_{n}", ["msg_0", "msg_1", "msg_2"]) for n in range(3)]
            assert all(isinstance(record, MessageRecord) for record in thread.records())
            assert (thread.messages, thread.runs, thread.thread) == (3, (), None)


def test_lines_longer_than_a_block_are_read(tmp_path: Path) -> None:
    """A text of two blocks of the reader, between two small ones."""
    texts = ["a", "b" * 2_500_000, "c"]
    path = put_bare(tmp_path / "o", [text_message(n, text=text) for n, text in enumerate(texts)])
    _, _, (turns,) = threads_of(path)
    assert [turn.text for turn in turns] == texts


def test_a_last_line_without_a_newline_is_read(tmp_path: Path) -> None:
    """It is a message like the others."""
    path = put_bare(tmp_path / "o", [text_message(n) for n in range(2)])
    path.write_bytes(path.read_bytes()[:-1])
    _, _, (turns,) = threads_of(path)
    assert [turn.text for turn in turns] == ["text 0", "text 1"]


def test_an_endless_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory."""
    monkeypatch.setattr("threadkeep.storage.lines.LINE_LIMIT", 1024 * 1024)
    path = tmp_path / "o"
    path.write_bytes(b"x" * 4 * 1024 * 1024)
    with path.open("rb") as file, pytest.raises(OutputUnusable, match="o is no NDJSON"):
        list(blocks(file, "o", 0, 4 * 1024 * 1024))


def test_a_file_that_is_no_export(tmp_path: Path) -> None:
    """It is named, and nothing is guessed."""
    path = write_ids(tmp_path, "thread_a")
    with pytest.raises(ThreadkeepError, match="is a list of thread ids, and no export"):
        threads_of(path)
