"""A damaged history is an error that names where it is now, and every undamaged item can be recovered."""

import errno
import json
import os
import sqlite3
import tempfile
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history_damage import ARRAYS, DATABASES, ITEMS, LOGS, Damage, DatabaseDamage
from threadkeep import HistoryDamaged, HistoryUnusable, open_history, recover

LAYOUTS: dict[str, dict[str, Any]] = {"compact": {}, "indented": {"indent": 2}}


def read_damaged(url: str | Path) -> HistoryDamaged:
    """Read a history that must be damaged."""
    with pytest.raises(HistoryDamaged) as raised:
        open_history(url).sync.get_items()
    return raised.value


def check_set_aside(path: Path, content: bytes, expected: list[dict[str, Any]]) -> None:
    """Reading raises once; the file is elsewhere, byte for byte, and gives what is expected."""
    error = read_damaged(path)
    aside = Path(error.place)
    assert aside.name.startswith(f"{path.name}.corrupt-")
    assert aside.read_bytes() == content
    assert str(aside) in str(error)
    assert recover(error.place) == expected
    assert error.recoverable == len(expected)
    assert f"{len(expected)} item" in str(error)
    assert not path.exists()
    assert open_history(path).sync.get_items() == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("damage", ARRAYS, ids=str)
def test_a_damaged_array(damage: Damage, layout: str, tmp_path: Path) -> None:
    """Each kind is loud, and gives exactly the undamaged items."""
    text = json.dumps(ITEMS, ensure_ascii=False, **LAYOUTS[layout])
    path = tmp_path / "chat_history.json"
    pieces = []
    for item in ITEMS:
        piece = json.dumps(item, ensure_ascii=False, **LAYOUTS[layout])
        pieces.append(piece.replace("\n", "\n  ").encode())
    content = damage.change(text.encode(), pieces)
    path.write_bytes(content)
    check_set_aside(path, content, [item for number, item in enumerate(ITEMS) if number not in damage.lost])


@pytest.mark.parametrize("damage", LOGS, ids=str)
def test_a_damaged_log(damage: Damage, tmp_path: Path) -> None:
    """A torn last line is a warning and costs itself; everything else is loud, and gives the undamaged items."""
    path = tmp_path / "chat.jsonl"
    history = open_history(path).sync
    for item in ITEMS:
        history.add_items([item])
    content = damage.change(
        path.read_bytes(), [json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() for item in ITEMS]
    )
    path.write_bytes(content)
    expected = [item for number, item in enumerate(ITEMS) if number not in damage.lost]
    if damage.is_torn:
        with pytest.warns(UserWarning, match="the last line is cut off"):
            assert history.get_items() == expected
        with pytest.warns(UserWarning, match=r"moved to .*corrupt-"):
            history.add_items(ITEMS[:1])
        assert history.get_items() == [*expected, ITEMS[0]]
        (aside,) = tmp_path.glob("*.corrupt-*")
        assert content.endswith(aside.read_bytes())
    else:
        check_set_aside(path, content, expected)


MIXED: list[dict[str, Any]] = [
    {"number": 0, "of": {"key": {"deep": [{"a": 1}]}}, "behind": 2},
    {"content": [{"type": "text", "text": "a {} b"}, {"type": "text", "text": '{}, [] " \\'}], "number": 1},
    {"number": 2},
    {"type": "call", "arguments": '{"a": {"b": [{}]}}', "é": "ü{}", "number": 3},
]


@given(st.sampled_from([None, 2]), st.integers(0, 2000), st.integers(0, 255), st.sampled_from(["changed", "added"]))
def test_one_byte_of_an_array_costs_its_item_only(indent: int | None, place: int, byte: int, how: str) -> None:
    """Every item whose text is as it was is recovered, and nothing else is: no part of the damaged one."""
    pieces = [json.dumps(item, ensure_ascii=False, indent=indent).replace("\n", "\n  ").encode() for item in MIXED]
    before = json.dumps(MIXED, ensure_ascii=False, indent=indent).encode()
    place %= len(before)
    content = before[:place] + bytes([byte]) + before[place + (how == "changed") :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.json")
        path.write_bytes(content)
        try:
            found = open_history(path).sync.get_items()
        except HistoryDamaged as error:
            found = recover(error.place)
        numbers = [item["number"] for item in found if item in MIXED]
        assert numbers == sorted(set(numbers))
        assert set(numbers) >= {number for number, piece in enumerate(pieces) if piece in content}
        assert len(MIXED) - 1 <= len(found) <= len(MIXED)
        assert all("type" not in item or "number" in item for item in found if len(item) == 2)


@pytest.mark.parametrize("content", [b': {"a": 1}, {"a": 2}]', b'[: {"a": 1}, {"a": 2}]', b'[{"a": 1}: {"a": 2}]'])
def test_a_colon_between_items_is_not_behind_a_key(content: bytes, tmp_path: Path) -> None:
    """What follows it is no part of a damaged item."""
    path = tmp_path / "chat.json"
    path.write_bytes(content)
    assert recover(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("zeros", [1, 8, 100, 512])
@pytest.mark.parametrize("name", ["chat.json", "chat.jsonl"])
def test_zeros_at_the_head_are_not_taken_for_another_encoding(name: str, zeros: int, tmp_path: Path) -> None:
    """A block that was never written: what is behind it is recovered."""
    path = tmp_path / name
    history = open_history(path).sync
    for item in ITEMS:
        history.add_items([item])
    content = bytes(zeros) + path.read_bytes()[zeros:]
    path.write_bytes(content)
    recovered = recover(read_damaged(path).place)
    assert recovered == ITEMS[-len(recovered) :]
    assert len(recovered) >= 8


@pytest.mark.parametrize("key", ["session_id", "time", "add", "line"])
def test_a_damaged_key_of_a_line_costs_nothing(key: str, tmp_path: Path) -> None:
    """The items of the line are recovered, and not the line as an item; what was popped or cleared stays away."""
    path = tmp_path / "chat.jsonl"
    history, other = open_history(path, "a").sync, open_history(path, "b").sync
    other.add_items([{"b": 1}, {"b": 2}])
    history.add_items([{"a": 1}])
    history.clear_session()
    history.add_items([{"a": 2, "content": [{"type": "text"}]}, {"a": 3}])
    assert other.pop_item() == {"b": 2}
    lines = path.read_bytes().splitlines(keepends=True)
    expected = [{"b": 1}, {"a": 2, "content": [{"type": "text"}]}, {"a": 3}]
    for number, line in enumerate(lines):
        damaged = line.replace(f'"{key}":'.encode(), f'"{key[:-1]}X":'.encode(), 1)
        path.write_bytes(b"".join([*lines[:number], damaged, *lines[number + 1 :]]))
        assert recover(path) == expected


def test_what_was_popped_of_a_damaged_line_stays_away(tmp_path: Path) -> None:
    """Whether the line is damaged that added it, or the one that took it back."""
    path = tmp_path / "chat.jsonl"
    history = open_history(path).sync
    history.add_items([{"a": 1}])
    history.add_items([{"a": 2}])
    history.pop_item()
    content = path.read_bytes()
    for old, new in [
        (b'"keep":0', b'"keep":x'),
        (b'"pop":{"line":2', b'"pop":{"line:2'),
        (b'"add":[{"a":2', b'x"add":[{"a":2'),
    ]:
        path.write_bytes(content.replace(old, new))
        assert recover(read_damaged(path).place) == [{"a": 1}]


def test_a_database_whose_last_page_is_cut_is_damaged(tmp_path: Path) -> None:
    """SQLite reads zeros for the rest of it: of an index, rows would be missing without a word."""
    path, url = tmp_path / "chat.db", f"sqlite:///{tmp_path}/chat.db"
    items = [{"number": number, "text": "x" * 300} for number in range(10)]
    database_of(path, items[:1])
    for item in items[1:]:
        open_history(url, "s").sync.add_items([item])
    content = path.read_bytes()
    for cut in (1, 100, 4000):
        path.write_bytes(content[:-cut])
        with pytest.raises(HistoryDamaged, match="no number of pages"):
            open_history(url, "s").sync.get_items()


def test_bytes_that_were_lost_or_added_move_the_pages_of_a_database(tmp_path: Path) -> None:
    """What is behind them is recovered, and a wrong size of the pages is not believed."""
    path = tmp_path / "chat.db"
    items = [{"number": number, "text": f"{number} " * 200} for number in range(100)]
    database_of(path, items)
    content = path.read_bytes()
    for damaged in (
        content[:5000] + b"five." + content[5000:],
        content[:5000] + content[5007:],
        content[:16] + b"\x20\x00" + content[18:],
    ):
        path.write_bytes(damaged)
        assert recover(path) == items


def test_a_schema_that_is_not_utf_8_is_damage(tmp_path: Path) -> None:
    """Python decodes the names of columns before a query has a result."""
    path, url = tmp_path / "chat.db", f"sqlite:///{tmp_path}/chat.db"
    database_of(path, ITEMS)
    path.write_bytes(path.read_bytes().replace(b"message_data TEXT NOT NULL", b"message_data TEXT NOT NUL\xcc"))
    with pytest.raises(HistoryDamaged) as raised:
        open_history(url, "s").sync.get_items()
    assert recover(raised.value.place) == ITEMS


@pytest.mark.parametrize(("name", "content"), [("a.json", b"[{}, {"), ("a.jsonl", b'{"a'), ("b.json", b"[{}]")])
def test_a_reader_that_may_not_have_the_lock(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file in a folder that may only be read is reported as damaged, and not as unusable."""
    path = tmp_path / name
    path.write_bytes(content)
    system_open = os.open

    def refusing(file: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if str(file).endswith(".lock"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return system_open(file, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    if name == "b.json":
        assert open_history(path).sync.get_items() == [{}]
    else:
        assert Path(read_damaged(path).place).read_bytes() == content
    with pytest.raises(HistoryUnusable, match="Permission denied"):
        open_history(path).sync.add_items([{"a": 1}])


def test_the_folder_of_a_history_may_have_any_name(tmp_path: Path) -> None:
    """Also that of a file which was set aside."""
    folder = tmp_path / "chat.corrupt-1"
    folder.mkdir()
    path = folder / "chat.json"
    path.write_bytes(b'[{"a": 1}, {')
    assert recover(path) == recover(read_damaged(path).place) == [{"a": 1}]


def database_of(path: Path, items: list[dict[str, Any]]) -> None:
    """A database of one session, closed and without its log."""
    open_history(f"sqlite:///{path}", "s").sync.add_items(items)
    assert not path.with_name(f"{path.name}-wal").exists()


@pytest.mark.parametrize("damage", DATABASES, ids=str)
def test_a_damaged_database(damage: DatabaseDamage, tmp_path: Path) -> None:
    """Each kind is loud, and gives exactly the rows whose text is still in the file."""
    path, url = tmp_path / "chat.db", f"sqlite:///{tmp_path}/chat.db"
    items = [{"number": number, "text": f"{number} " * 200} for number in range(1, 101)]
    database_of(path, items)
    damage.change(path)
    content = path.read_bytes()
    expected = [item for item in items if json.dumps(item, separators=(",", ":")).encode() in content]
    with pytest.raises(HistoryDamaged) as raised:
        open_history(url, "s").sync.get_items()
    error = raised.value
    assert recover(error.place) == recover(error.place, "s") == expected
    assert error.recoverable == len(expected)
    if error.place == url:  # one row: it is named, and nothing was moved
        assert "row 40 of agent_messages" in str(error)
        assert open_history(url, "s").sync.get_items(10) == items[-10:]
    else:
        assert Path(error.place).read_bytes() == content
        assert open_history(url, "s").sync.get_items() == []
        open_history(url, "s").sync.add_items(items[:1])
        assert open_history(url, "s").sync.get_items() == items[:1]


def test_a_long_row_is_recovered_from_its_pages(tmp_path: Path) -> None:
    """Rows that go on in other pages, in every page size, and those that only the write-ahead log has."""
    items = [{"number": number, "text": "é" * number * 999} for number in range(40)]
    for size in (512, 1024, 4096, 65536):
        path = tmp_path / f"chat{size}.db"
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"PRAGMA page_size = {size}")
            database.execute("CREATE TABLE unused (a)")
        history = open_history(f"sqlite:///{path}").sync
        history.add_items(items[:30])
        with closing(sqlite3.connect(path)) as reader:  # keeps the log from being written back
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM agent_messages").fetchone()
            history.add_items(items[30:])
            copy = tmp_path / f"copy{size}.db"
            for ending in ("", "-wal"):
                copy.with_name(copy.name + ending).write_bytes(path.with_name(path.name + ending).read_bytes())
        copy.write_bytes(bytes(100) + copy.read_bytes()[100:])
        assert recover(copy) == items


def test_popping_a_damaged_row_leaves_it_there(tmp_path: Path) -> None:
    """The Agents SDK's session deletes it without a word."""
    path, url = tmp_path / "chat.db", f"sqlite:///{tmp_path}/chat.db"
    database_of(path, ITEMS)
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO agent_messages (session_id, message_data) VALUES ('s', '{broken')")
        database.commit()
    for _ in range(2):
        with pytest.raises(HistoryDamaged, match="row 13 of agent_messages"):
            open_history(url, "s").sync.pop_item()
    assert recover(url) == ITEMS
    open_history(url, "s").sync.clear_session()
    assert open_history(url, "s").sync.get_items() == []


def test_names_of_what_is_set_aside_never_collide(tmp_path: Path) -> None:
    """Several in one second, and each is kept."""
    path = tmp_path / "chat.json"
    places = set()
    for number in range(5):
        path.write_bytes(b"[%d" % number)
        places.add(read_damaged(path).place)
    assert sorted(Path(place).read_bytes() for place in places) == [b"[%d" % number for number in range(5)]


@pytest.mark.parametrize("name", ["chat.json", "chat.jsonl"])
def test_every_call_is_loud_on_a_damaged_file(name: str, tmp_path: Path) -> None:
    """Adding, popping and clearing do not write over what is damaged, and lose nothing of it."""
    path = tmp_path / name
    for work in ("get_items", "pop_item", "clear_session", "add_items"):
        path.write_bytes(b'{"a": ')
        arguments = [[{"role": "user"}]] if work == "add_items" else []
        with pytest.raises(HistoryDamaged) as raised:
            getattr(open_history(path).sync, work)(*arguments)
        assert Path(raised.value.place).read_bytes() == b'{"a": '
        assert not path.exists()


def test_what_belongs_to_one_session_is_recovered_alone(tmp_path: Path) -> None:
    """Also of a line whose items are damaged, as long as its session can be read; what was popped stays away."""
    path = tmp_path / "chat.jsonl"
    for number in range(4):
        open_history(path, "ab"[number % 2]).sync.add_items([{"number": number}, {"more": number}])
    assert open_history(path, "a").sync.pop_item() == {"more": 2}
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"number":0}', b'{"number:0}'))
    place = read_damaged(path).place
    assert recover(place, "a") == [{"more": 0}, {"number": 2}]
    assert recover(place, "b") == [{"number": 1}, {"more": 1}, {"number": 3}, {"more": 3}]
    assert len(recover(place)) == 6


def test_a_torn_line_is_a_call_that_never_ended(tmp_path: Path) -> None:
    """What is lost with it was never acknowledged; a line that only lacks its end is complete."""
    path = tmp_path / "chat.jsonl"
    history = open_history(path).sync
    history.add_items([{"a": 1}])
    history.add_items([{"b": 1}, {"b": 2}])
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for length in range(first, len(content) + 1):
            path.write_bytes(content[:length])
            expected = [{"a": 1}] if length < len(content) - 1 else [{"a": 1}, {"b": 1}, {"b": 2}]
            assert history.get_items() == expected
            history.add_items([{"c": 1}])
            assert history.get_items() == [*expected, {"c": 1}]


def test_a_row_of_something_else_is_no_damage(tmp_path: Path) -> None:
    """A database of another program, without the tables, is an empty history and stays as it is."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE users (name)")
        database.execute("INSERT INTO users VALUES ('ada')")
        database.commit()
    history = open_history(f"sqlite:///{path}").sync
    assert history.get_items() == []
    history.add_items([{"a": 1}])
    assert history.get_items() == [{"a": 1}]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM users").fetchall() == [("ada",)]
