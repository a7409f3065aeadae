"""A history keeps every item exactly, in the file that people have, and nothing is created by reading."""

import asyncio
import contextlib
import inspect
import json
import os
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from full_disk import full_disk
from strategies import json_values, raw_text
from threadkeep import (
    Conversation,
    History,
    HistoryDamaged,
    HistoryUnusable,
    Trimmed,
    copy_history,
    delete_session,
    list_sessions,
    open_history,
    recover,
)
from threadkeep.history import entrypoints

items = st.dictionaries(raw_text, json_values, max_size=4)
URLS = ["{}/chat.json", "{}/chat.jsonl", "sqlite:///{}/chat.db", "memory://{}"]


@pytest.fixture(params=URLS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of each kind that needs no server, which does not exist yet."""
    template: str = request.param
    return template.format(tmp_path)


def exactly(value: Any) -> str:
    """JSON text, in which 1 and 1.0 differ, and so do two orders of keys."""
    return json.dumps(value)


@settings(max_examples=40)
@given(st.lists(st.lists(items, max_size=3), max_size=4), st.integers(0, 12))
def test_items_are_kept_exactly(batches: list[list[dict[str, Any]]], limit: int) -> None:
    """Key order, types of numbers, unknown shapes, U+2028 and lone surrogates; the newest ones in their order."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for template in URLS:
            history = open_history(template.format(folder)).sync
            added: list[dict[str, Any]] = []
            for batch in batches:
                history.add_items(batch)
                added += batch
            assert exactly(history.get_items()) == exactly(added)
            assert exactly(history.get_items(limit)) == exactly(added[len(added) - min(limit, len(added)) :])
            assert exactly(recover(template.format(folder)) if added else []) == exactly(added)
            while added:
                assert exactly(history.pop_item()) == exactly(added.pop())
            assert history.pop_item() is None


def test_reading_creates_nothing(url: str, tmp_path: Path) -> None:
    """A store that does not exist is empty, and is not there afterwards either."""
    history = open_history(url).sync
    assert (history.get_items(), history.get_items(5), history.pop_item(), list_sessions(url)) == ([], [], None, [])
    history.clear_session()
    history.add_items([])
    delete_session(url)
    assert [*tmp_path.iterdir()] == []


def test_a_limit_is_not_negative(url: str) -> None:
    """0 is no item; a negative number is a mistake, and not all items as in SQLite."""
    history = open_history(url).sync
    history.add_items([{"a": 1}])
    assert history.get_items(0) == []
    with pytest.raises(ValueError, match="-1 is negative"):
        history.get_items(-1)
    assert open_history(url, session_settings={"limit": 0}).sync.get_items() == []


REFUSED: list[tuple[Any, type[Exception], str]] = [
    ("text", TypeError, "a list of items is needed, not a str"),
    ({"a": 1}, TypeError, "a list of items is needed, not a dict"),
    (None, TypeError, "a list of items is needed, not a NoneType"),
    ([{"a": 1}, 1], TypeError, "item 1 is an int, not a dict"),
    ([{"a": 1}, ["b"]], TypeError, "item 1 is a list, not a dict"),
    ([{"a": {1, 2}}], TypeError, "item 0.a is a set, which is not JSON"),
    ([{"a": b"x"}], TypeError, "item 0.a is a bytes, which is not JSON"),
    ([{"a": [{1: "x"}]}], TypeError, r"item 0.a\[0\] has the key 1; keys are strings in JSON"),
    ([{"a": float("nan")}], ValueError, "item 0.a is nan, which is not JSON"),
    ([{"a": float("inf")}], ValueError, "item 0.a is inf, which is not JSON"),
    ([{"a": "\ud83d\ude00"}], ValueError, "item 0.a holds two surrogates in a row"),
]


@pytest.mark.parametrize(("refused", "kind", "words"), REFUSED)
def test_what_json_cannot_keep_is_refused_before_anything_is_written(
    refused: Any, kind: type[Exception], words: str, url: str
) -> None:
    """None of the items is added, and the error says which one it is about."""
    history = open_history(url).sync
    with pytest.raises(kind, match=words):
        history.add_items(refused)
    assert history.get_items() == []
    history.add_items([{"before": 1}])
    with pytest.raises(kind, match=words):
        history.add_items(refused)
    assert history.get_items() == [{"before": 1}]


def test_an_item_that_goes_too_deep_is_refused(url: str) -> None:
    """And nothing is written."""
    item: dict[str, Any] = {}
    inner = item
    for _ in range(100_000):
        inner["a"] = inner = {}
    with pytest.raises(ValueError, match="nested too deeply"):
        open_history(url).sync.add_items([item])
    assert open_history(url).sync.get_items() == []
    while item:  # a value so deep is not freed in one go
        item = item.pop("a")


def nested(levels: int) -> dict[str, Any]:
    """An item of so many levels, in which a lone surrogate makes the standard library read it."""
    item: dict[str, Any] = {"s": "\ud800"}
    for _ in range(levels - 1):
        item = {"a": item}
    return item


def called_by(functions: int, work: Callable[[], Any]) -> Any:
    """Call a function when so many others are on the stack."""
    return called_by(functions - 1, work) if functions else work()


@pytest.mark.parametrize("levels", [100, 255, 500])
def test_what_can_be_added_can_be_read_by_everyone(levels: int, url: str) -> None:
    """How many functions have called the reader does not make a file a damaged one."""
    history = open_history(url).sync
    item = nested(levels)
    free = sys.getrecursionlimit() - len(inspect.stack()) - 100
    for functions in (0, free // 2, free):
        called_by(functions, lambda: history.add_items([{"a": 1}, item]))
        assert called_by(functions, history.get_items) == [{"a": 1}, item]
        assert called_by(functions, lambda: recover(url)) == [{"a": 1}, item]
        assert called_by(functions, history.pop_item) == item
        assert called_by(functions, history.pop_item) == {"a": 1}
    with pytest.raises(ValueError, match="item 1 is nested too deeply: it has more than 500 levels"):
        history.add_items([{}, nested(501)])


def test_an_item_of_another_program_that_goes_too_deep_is_not_popped(tmp_path: Path) -> None:
    """It is read, and the file stays as it is."""
    path = tmp_path / "chat.json"
    content = b"[" + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"]"
    path.write_bytes(content)
    assert len(open_history(path).sync.get_items()) == 1
    with pytest.raises(HistoryUnusable, match="nested too deeply to be removed"):
        open_history(path).sync.pop_item()
    assert path.read_bytes() == content


@pytest.mark.parametrize("session_id", ["", "\ud800", "\ud83d\ude00"])
def test_a_session_id_that_cannot_be_kept_is_refused(session_id: str, url: str) -> None:
    """Two surrogates would be read back as another id, under which nothing is found."""
    with pytest.raises(ValueError, match="the session id"):
        open_history(url, session_id)


@pytest.mark.parametrize("template", URLS[1:])
def test_a_session_that_begins_again(template: str, tmp_path: Path) -> None:
    """It is listed behind those that have begun meanwhile, with the metadata of its history."""
    url = template.format(tmp_path)
    keeps_metadata = not url.startswith("sqlite")
    history = open_history(url, "a", metadata={"user": "ada"} if keeps_metadata else None).sync
    for empty in (history.pop_item, history.clear_session, lambda: delete_session(url, "a")):
        history.add_items([{"a": 1}])
        delete_session(url, "b")
        open_history(url, "b").sync.add_items([{"b": 1}])
        empty()
        history.add_items([{"a": 2}])
        assert [info.session_id for info in list_sessions(url)] == ["b", "a"]
        assert list_sessions(url)[1].metadata == ({"user": "ada"} if keeps_metadata else None)
        history.clear_session()


@pytest.mark.parametrize("template", ["{}.json", "{}.jsonl", "sqlite:///{}.db"])
@pytest.mark.parametrize("method", ["get_items", "pop_item", "clear_session"])
def test_a_name_that_the_system_refuses_is_no_empty_history(method: str, template: str, tmp_path: Path) -> None:
    """Links in a circle, or too long a name."""
    path = Path(template.format(tmp_path / "circle").removeprefix("sqlite:///"))
    path.symlink_to(path)
    for name in ("circle", "x" * 300):
        with pytest.raises(HistoryUnusable):
            getattr(open_history(template.format(tmp_path / name)).sync, method)()


def test_an_object_of_the_sdk_is_refused_with_what_to_do(url: str) -> None:
    """People append ``response.choices[0].message``."""
    from openai.types.chat import ChatCompletionMessage

    message: Any = ChatCompletionMessage(role="assistant", content="hi")
    with pytest.raises(TypeError, match=r"item 0 is a ChatCompletionMessage, not a dict. Use its model_dump\("):
        open_history(url).sync.add_items([message])


STYLES: list[dict[str, Any]] = [
    {},
    {"indent": 2},
    {"indent": 4, "ensure_ascii": False},
    {"indent": "\t"},
    {"indent": 0},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"separators": (",", ":")},
]


@pytest.mark.parametrize("style", STYLES, ids=str)
@settings(max_examples=40)
@given(st.data())
def test_the_file_stays_as_the_script_writes_it(style: dict[str, Any], data: st.DataObject) -> None:
    """Whatever arguments ``json.dump`` has, what is added looks as if the script had added it."""
    import tempfile

    words = st.dictionaries(
        st.sampled_from(["role", "content", "é"]), st.one_of(st.text("ab é"), st.lists(st.integers())), min_size=1
    )
    before = [{"role": "user", "content": "é", "parts": [{"type": "text"}]}, *data.draw(st.lists(words, max_size=3))]
    added = data.draw(st.lists(words, min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat_history.json")
        path.write_text(json.dumps(before, **style) + "\n", encoding="utf-8")
        open_history(path).sync.add_items(added)
        assert path.read_text(encoding="utf-8") == json.dumps(before + added, **style) + "\n"
        for _ in added:
            open_history(path).sync.pop_item()
        assert path.read_text(encoding="utf-8") == json.dumps(before, **style) + "\n"


def test_bytes_of_the_items_that_are_there_stay(tmp_path: Path) -> None:
    """Numbers and escapes as somebody wrote them, blanks, and line ends of Windows."""
    path = tmp_path / "chat.json"
    content = b' [\r\n    {"a" : 1.10, "b":"\\u00e9\\/"},\r\n    {"c": 1e2, "c": 2}\r\n  ]\r\n\r\n'
    path.write_bytes(content)
    history = open_history(path).sync
    history.add_items([{"d": 1}])
    assert path.read_bytes().startswith(content[: content.rindex(b"\r\n  ]")])
    assert path.read_bytes().endswith(b"\r\n  ]\r\n\r\n")
    assert history.get_items() == [{"a": 1.1, "b": "é/"}, {"c": 2}, {"d": 1}]
    history.pop_item()
    assert path.read_bytes() == content


def test_a_json_file_is_one_session(tmp_path: Path) -> None:
    """Whatever the session is called."""
    path = tmp_path / "chat.json"
    open_history(path, "a").sync.add_items([{"a": 1}])
    assert open_history(path, "b").sync.get_items() == [{"a": 1}]


def test_a_new_file_is_private_and_an_old_one_keeps_its_permissions(tmp_path: Path) -> None:
    """A conversation is nobody else's business, unless its owner decided otherwise."""
    for name in ("chat.json", "chat.jsonl", "chat.db"):
        path = tmp_path / name
        history = open_history(f"sqlite:///{path}" if name == "chat.db" else path).sync
        history.add_items([{"a": 1}])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o640)
        history.add_items([{"a": 2}])
        history.pop_item()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file that it leads to is replaced."""
    (tmp_path / "real").mkdir()
    for name in ("chat.json", "chat.jsonl", "chat.db"):
        (tmp_path / name).symlink_to(tmp_path / "real" / name)
        url = f"sqlite:///{tmp_path}/{name}" if name == "chat.db" else str(tmp_path / name)
        for number in range(3):
            open_history(url).sync.add_items([{"a": number}])
        assert (tmp_path / name).is_symlink()
        assert len(open_history(url).sync.get_items()) == 3
        assert (tmp_path / "real" / name).is_file()


def test_a_full_disk_leaves_the_history_as_it_was(url: str, tmp_path: Path) -> None:
    """`add_items` is all or nothing; what is on the disk is what was there."""
    if url.startswith("memory"):
        return
    history = open_history(url).sync
    before = [{"number": number, "text": "x" * 1000} for number in range(20)]
    history.add_items(before)
    with full_disk(65_536), pytest.raises(HistoryUnusable) as raised:
        history.add_items([{"text": "y" * 30_000}] * 10)
    assert str(tmp_path) in str(raised.value)
    assert history.get_items() == before
    history.add_items([{"after": 1}])
    assert history.get_items() == [*before, {"after": 1}]
    assert not [*tmp_path.glob("*.new*")]


@pytest.mark.parametrize("template", URLS[:3])
def test_a_place_that_cannot_be_used_is_named(template: str, tmp_path: Path) -> None:
    """A folder that is missing, when the history is opened; a folder in the place of the file."""
    with pytest.raises(HistoryUnusable, match=r"/missing does not exist. Create the folder"):
        open_history(template.format(tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(HistoryUnusable, match=r"/file is not a folder"):
        open_history(template.format(tmp_path / "file"))
    for name in ("chat.json", "chat.jsonl", "chat.db"):
        (tmp_path / name).mkdir()
    folder = open_history(template.format(tmp_path)).sync
    for work in (folder.get_items, lambda: folder.add_items([{"a": 1}])):
        with pytest.raises(HistoryUnusable, match=r"chat\.(json|jsonl|db)"):
            work()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Opening one would hang until somebody writes."""
    for name in ("chat.json", "chat.jsonl"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(HistoryUnusable, match="not a regular file"):
            open_history(tmp_path / name).sync.get_items()
        with pytest.raises(HistoryUnusable):
            open_history(tmp_path / name).sync.add_items([{"a": 1}])


WRONG = [
    "chat.txt",
    "chat",
    "",
    "postgresql://h/d",
    "sqlite://",
    "sqlite:///",
    "sqlite:///:memory:",
    "sqlite:///a?b=1",
    "http://x/y.json",
]


@pytest.mark.parametrize("name", WRONG)
def test_an_url_that_names_no_history_is_refused(name: str) -> None:
    """With what it could be."""
    with pytest.raises(ValueError, match=r"names no (kind of history|database file)"):
        open_history(name)


def test_sessions_of_a_store(url: str) -> None:
    """Their ids, numbers and times; those without items are not listed."""
    if url.endswith(".json"):
        open_history(url).sync.add_items([{"a": 1}, {"a": 2}])
        (info,) = list_sessions(url)
        assert (info.session_id, info.items, info.first_at, info.last_at, info.metadata) == (None, 2, None, None, None)
        return
    for name in ("b", "ä/:% \u2028", "a", "emptied"):
        open_history(url, name).sync.add_items([{"of": name}])
    open_history(url, "b").sync.add_items([{"of": "b", "n": 2}])
    open_history(url, "emptied").sync.pop_item()
    found = list_sessions(url)
    assert [(info.session_id, info.items) for info in found] == [("b", 2), ("ä/:% \u2028", 1), ("a", 1)]
    assert all(
        info.first_at is not None and info.last_at is not None and info.first_at <= info.last_at for info in found
    )
    delete_session(url, "b")
    assert [info.session_id for info in list_sessions(url)] == ["ä/:% \u2028", "a"]
    assert open_history(url, "a").sync.get_items() == [{"of": "a"}]


def test_what_is_deleted_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    """A session that somebody asked to have removed."""
    for name in ("chat.json", "chat.jsonl", "chat.db"):
        path = tmp_path / name
        url = f"sqlite:///{path}" if name == "chat.db" else str(path)
        for session in ("keep", "delete"):
            for number in range(3):
                open_history(url, session).sync.add_items([{"text": f"secret of {session} {number}"}])
            open_history(url, session).sync.pop_item()
        delete_session(url, "delete")
        assert not path.exists() or b"secret of delete" not in path.read_bytes()
        if name != "chat.json":
            expected = [{"text": "secret of keep 0"}, {"text": "secret of keep 1"}]
            assert open_history(url, "keep").sync.get_items() == expected
            open_history(url, "keep").sync.add_items([{"more": 1}])
            assert open_history(url, "keep").sync.get_items() == [*expected, {"more": 1}]


@pytest.mark.parametrize("template", ["{}/chat.jsonl", "memory://{}"])
def test_metadata_is_kept_with_a_session(template: str, tmp_path: Path) -> None:
    """It is that of the call which began the session."""
    url = template.format(tmp_path)
    open_history(url, "other").sync.add_items([{"a": 1}])
    open_history(url, metadata={"user": "ada"}).sync.add_items([{"a": 1}])
    open_history(url, metadata={"user": "bob"}).sync.add_items([{"a": 2}])
    assert [info.metadata for info in list_sessions(url)] == [None, {"user": "ada"}]


@pytest.mark.parametrize("template", ["{}/chat.json", "sqlite:///{}/chat.db"])
def test_metadata_is_refused_where_it_cannot_be_kept(template: str, tmp_path: Path) -> None:
    """Rather than lost."""
    with pytest.raises(ValueError, match=r"Use a \.jsonl file"):
        open_history(template.format(tmp_path), metadata={"user": "ada"})


def test_a_history_is_copied_to_another_kind(tmp_path: Path) -> None:
    """All sessions, or one; never onto one that has items."""
    source, target = tmp_path / "a.jsonl", f"sqlite:///{tmp_path}/b.db"
    for name in ("x", "y"):
        open_history(source, name).sync.add_items([{"of": name}, {"1": 1.0}])
    assert copy_history(source, target) == 4
    assert [(info.session_id, info.items) for info in list_sessions(target)] == [("x", 2), ("y", 2)]
    limited = open_history(source, "x", session_settings={"limit": 1})
    assert copy_history(limited, tmp_path / "all.json") == 2
    with pytest.raises(ValueError, match="the session 'x' of the target has items already"):
        copy_history(source, target)
    with pytest.raises(ValueError, match="the source has 2 sessions, the target holds one"):
        copy_history(source, tmp_path / "one.json")
    assert not (tmp_path / "one.json").exists()
    assert copy_history(source, tmp_path / "one.json", "y") == 2
    assert json.loads((tmp_path / "one.json").read_bytes()) == [{"of": "y"}, {"1": 1.0}]
    assert copy_history(tmp_path / "one.json", open_history(target, "z")) == 2
    assert open_history(target, "z").sync.get_items() == [{"of": "y"}, {"1": 1.0}]


def test_a_copy_keeps_the_metadata_where_the_target_can(tmp_path: Path) -> None:
    """A file of lines to another; SQLite has no place for it."""
    source, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    open_history(source, "x", metadata={"user": "ada"}).sync.add_items([{"1": 1}])
    open_history(source, "y").sync.add_items([{"2": 2}])
    assert copy_history(source, target) == 2
    assert [info.metadata for info in list_sessions(target)] == [{"user": "ada"}, None]
    assert copy_history(source, f"memory://{tmp_path}", "x") == 1
    assert [info.metadata for info in list_sessions(f"memory://{tmp_path}")] == [{"user": "ada"}]
    assert copy_history(source, f"sqlite:///{tmp_path}/c.db") == 2
    assert [info.metadata for info in list_sessions(f"sqlite:///{tmp_path}/c.db")] == [None, None]


def test_nothing_is_copied_when_a_session_is_damaged(tmp_path: Path) -> None:
    """So that the copy can be repeated when the damage is dealt with."""
    source, target = f"sqlite:///{tmp_path}/a.db", tmp_path / "b.jsonl"
    for name in ("x", "y"):
        open_history(source, name).sync.add_items([{"of": name}])
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database, database:
        database.execute("UPDATE agent_messages SET message_data = '{' WHERE session_id = 'y'")
    with pytest.raises(HistoryDamaged):
        copy_history(source, target)
    assert not target.exists()
    delete_session(source, "y")
    assert copy_history(source, target) == 1


@pytest.mark.parametrize("url", ["memory://many-{}", "{}/b.jsonl"])
def test_a_copy_has_one_session_open_at_a_time(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server takes a limited number of connections. A history that was open stays open."""
    opened: list[str] = []

    def open_counted(*arguments: Any, **options: Any) -> History:
        history = open_history(*arguments, **options)
        opened.append(history.session_id)
        assert len(opened) == 1
        monkeypatch.setattr(history.sync, "close", opened.clear)
        return history

    source = tmp_path / "a.jsonl"
    for name in ("x", "y", "z"):
        open_history(source, name).sync.add_items([{"of": name}])
    monkeypatch.setattr(entrypoints, "open_history", open_counted)
    assert copy_history(source, url.format(tmp_path)) == 3
    assert opened == []
    mine = open_history(tmp_path / "c.jsonl")
    monkeypatch.setattr(mine.sync, "close", pytest.fail)
    assert copy_history(source, mine, "x") == 1


def test_the_blocking_methods_are_no_session() -> None:
    """Nor is a path: the error says what to give."""
    history = open_history("memory://blocking")
    wrong: Any
    for wrong, words in ((history.sync, "leave out .sync"), (5, "a session is needed, not an int")):
        with pytest.raises(TypeError, match=words):
            Trimmed(wrong, 100)
        with pytest.raises(TypeError, match=words):
            Conversation(None, wrong, model="m")
    wrong = "chat.json"
    with pytest.raises(TypeError, match="a session is needed, not a str"):
        Trimmed(wrong, 100)


def test_the_methods_can_be_awaited(url: str) -> None:
    """In several event loops one after another, and at the same time."""
    history = open_history(url)

    async def add(number: int) -> None:
        await history.add_items([{"number": number}], wrapper=None)

    async def work() -> list[Any]:
        await asyncio.gather(*map(add, range(20)))
        return await history.get_items(wrapper=None)

    assert sorted(item["number"] for item in asyncio.run(work())) == [*range(20)]
    assert asyncio.run(history.pop_item(wrapper=None)) is not None
    assert len(asyncio.run(history.get_items())) == 19
    asyncio.run(history.clear_session(wrapper=None))
    asyncio.run(history.close())
    assert asyncio.run(history.get_items(3)) == []


def test_a_caller_that_is_cancelled_learns_of_it_when_the_items_are_there(tmp_path: Path) -> None:
    """So that what comes next sees either all of them or none."""
    history = open_history(tmp_path / "chat.json")

    async def work() -> None:
        task = asyncio.ensure_future(history.add_items([{"a": 1}]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await history.get_items() == [{"a": 1}]

    asyncio.run(work())


def test_what_is_recovered_must_be_there(tmp_path: Path) -> None:
    """A name that is mistyped is no empty history."""
    for name in (tmp_path / "x.json", tmp_path / "x.jsonl", f"sqlite:///{tmp_path}/x.db", tmp_path / "x.db.corrupt-1"):
        with pytest.raises(HistoryUnusable, match="does not exist"):
            recover(name)
