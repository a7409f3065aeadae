"""A damaged history is an error that names where it is now, and every undamaged item can be recovered."""

import json
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from history_damage import ARRAYS, DATABASES, ITEMS, LOGS, Damage, DatabaseDamage
from threadkeep import HistoryDamaged, open_history, recover

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
