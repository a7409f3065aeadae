"""Histories in Redis and in PostgreSQL: exchanged with the Agents SDK, loud when damaged, shared by processes."""

import asyncio
import gc
import json
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from agents import SQLiteSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import history_processes
from command import Run
from servers import PostgresqlServed, RedisServed, Served
from strategies import json_values, raw_text
from threadkeep.errors import ExtraMissing
from threadkeep.history import (
    HistoryDamaged,
    HistoryUnusable,
    copy_history,
    delete_session,
    list_sessions,
    open_history,
    recover,
)
from threadkeep.history.background_loop import run_in_background
from threadkeep.history.kinds import redis_server as redis_kind
from threadkeep.history.kinds.numbered_rows import read_items

ITEMS = st.lists(st.dictionaries(raw_text, json_values, max_size=4), max_size=4)
ODD_IDS = [
    "a:b",
    "a/b?c#d",
    "100%",
    "%41",
    "Ω 🌮",
    "a:messages",
    ":messages",
    "agents:session:a",
    "*",
    "[a]",
    "\\",
    "'",
]
THREE: list[dict[str, Any]] = [{"n": 0}, {"n": 1}, {"n": 2}]
# What an item must not be; the last can be a row of Redis only.
DAMAGE = ["", "{", '{"a": 1', "[]", '[{"a":1}]', "1", "null", '"{}"', "nan", '{"a": 1e400}', "{}{}", b'{"a": "\xff"}']


def exact(items: object) -> str:
    """Items as a text that shows the order of keys and the types of numbers."""
    return json.dumps(items)


@pytest.fixture
def by_itself(tmp_path: Path) -> Callable[..., str]:
    """Run the processes that share a history, and return what they print."""

    def run(*arguments: object) -> str:
        command = [sys.executable, history_processes.__file__, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(added=st.lists(ITEMS, max_size=3))
def test_items_are_returned_exactly_as_they_were_added(url: str, added: list[list[dict[str, Any]]]) -> None:
    """Key order, number types and every character stay the same, whatever the calls."""
    history = open_history(url)
    history.sync.clear_session()
    for items in added:
        history.sync.add_items(items)
    expected = [item for items in added for item in items]
    assert exact(history.sync.get_items()) == exact(expected)
    for limit in (0, 1, 2, len(expected), 10**20):
        assert exact(history.sync.get_items(limit)) == exact(expected[-limit:] if limit else [])
    while expected:
        assert exact(history.sync.pop_item()) == exact(expected.pop())
    assert history.sync.pop_item() is None
    history.sync.close()


@pytest.mark.parametrize("session_id", ODD_IDS)
def test_each_reads_and_changes_what_the_other_wrote(server: Served, url: str, session_id: str) -> None:
    """The Agents SDK's own session and a history are one, in the same keys or tables."""
    hard: list[Any] = [{"b": 1, "a": 1.0}, {"n": 2**70, "e": 1e22, "z": -0.0}, {"\ud800": "\u2028\x00\x85é🌮\udfff"}]

    async def theirs() -> tuple[list[Any], list[Any], object]:
        async with server.sdk_session(url, session_id) as session:
            await session.add_items(hard)
            before = await session.get_items()
            await open_history(url, session_id).add_items(hard)
            return before, await session.get_items(), await session.pop_item()

    before, after, popped = asyncio.run(theirs())
    by_the_sdk = server.names(url)
    history = open_history(url, session_id)
    assert exact([before, after, popped]) == exact([hard, hard + hard, hard[-1]])
    assert exact(history.sync.get_items()) == exact([*hard, *hard[:-1]])
    assert server.texts(url, session_id)[:2] == server.texts(url, session_id)[3:]
    assert [(info.session_id, info.items) for info in list_sessions(url)] == [(session_id, 5)]

    delete_session(url, session_id)
    history.sync.add_items(hard)
    assert server.names(url) == by_the_sdk
    history.sync.clear_session()
    assert (history.sync.get_items(), list_sessions(url)) == ([], [])
    history.sync.close()


@pytest.mark.parametrize("text", DAMAGE, ids=repr)
def test_a_damaged_row_is_named_and_stays(server: Served, url: str, text: str | bytes) -> None:
    """Nothing is left out silently, nothing is deleted, and everything else can be recovered."""
    if isinstance(text, bytes) and not isinstance(server, RedisServed):
        text = "\ufffd"  # PostgreSQL refuses a text that is not UTF-8
    history = open_history(url, "s")
    history.sync.add_items(THREE)
    number = server.spoil(url, "s", 1, text)
    with pytest.raises(
        HistoryDamaged, match=rf"\b{number} of the session 's' in {re.escape(server.scheme)}://127"
    ) as found:
        history.sync.get_items()
    assert (found.value.place, found.value.recoverable) == (url, 2)
    assert recover(url, "s") == recover(found.value.place) == [THREE[0], THREE[2]]
    assert history.sync.get_items(1) == [THREE[2]]
    assert history.sync.pop_item() == THREE[2]

    stored = server.texts(url, "s") if isinstance(text, str) else None
    with pytest.raises(HistoryDamaged):
        history.sync.pop_item()
    with pytest.raises(HistoryDamaged):
        copy_history(url, "memory://copy-of-damage")
    assert stored is None or server.texts(url, "s") == stored
    assert [info.items for info in list_sessions(url)] == [2]
    history.sync.add_items([{"n": 3}])
    assert history.sync.get_items(1) == [{"n": 3}]
    assert recover(url) == [{"n": 0}, {"n": 3}]
    history.sync.close()


def test_nothing_is_created_before_the_first_item(server: Served, url: str) -> None:
    """Reading, popping and clearing leave an empty database empty."""
    history = open_history(url)
    assert (history.sync.get_items(), history.sync.get_items(3), history.sync.pop_item()) == ([], [], None)
    assert (list_sessions(url), recover(url)) == ([], [])
    history.sync.add_items([])
    history.sync.clear_session()
    delete_session(url)
    history.sync.close()
    assert server.names(url) == set()


def test_sessions_are_listed_in_the_order_of_their_first_items(server: Served, url: str) -> None:
    """Of every id, with the number of items; emptied ones are not there. Redis knows the order to the second."""
    histories = [open_history(url, name) for name in ["zz", *ODD_IDS[1:]]]
    for history in histories:
        history.sync.add_items(THREE)
        history.sync.close()
    for _ in THREE:
        histories[0].sync.pop_item()
    histories[0].sync.close()
    found = [info.session_id for info in list_sessions(url)]
    assert sorted(map(str, found)) == sorted(ODD_IDS[1:])
    assert isinstance(server, RedisServed) or found == ODD_IDS[1:]
    assert len(recover(url)) == 3 * len(found)
    delete_session(url, ODD_IDS[-1])
    assert {info.items for info in list_sessions(url)} == {3}
    assert ODD_IDS[-1] not in {info.session_id for info in list_sessions(url)}


def test_sessions_of_redis_come_in_the_order_in_which_they_were_created(redis_server: RedisServed) -> None:
    """By the second that the SDK keeps; a key that is no session's is left alone."""
    url = redis_server.emptied()
    with redis_server.client() as client:
        for created, name in ((9, "c"), (10, "b"), (11, "a")):
            client.rpush(f"agents:session:{name}:messages", "{}")
            client.hset(f"agents:session:{name}", "created_at", str(created))
        client.rpush("agents:session:without:messages", "{}")
        client.rpush(b"agents:session:\xff:messages", "{}")
        client.set("agents:session:text:messages", "{}")
    assert [info.session_id for info in list_sessions(url)] == ["without", "c", "b", "a"]


def test_times_of_postgresql_are_right_in_every_zone(postgresql_server: PostgresqlServed) -> None:
    """The tables keep local times of the server; a session shows when its first and its last item came."""
    url = postgresql_server.emptied()
    moments: list[datetime] = []
    history = open_history(url)
    for item in THREE:
        moments += [row["now"] for row in postgresql_server.ask("SELECT clock_timestamp() AS now")]
        history.sync.add_items([item])
    history.sync.close()
    (info,) = list_sessions(url)
    assert info.first_at is not None
    assert info.last_at is not None
    assert moments[0] < info.first_at < moments[1] < moments[2] < info.last_at


@pytest.mark.parametrize("stored", ["text", "hash", "session"])
def test_keys_of_another_kind_are_refused(redis_server: RedisServed, stored: str) -> None:
    """What somebody else keeps under the keys of a session is not touched."""
    url = redis_server.emptied()
    with redis_server.client() as client:
        if stored == "text":
            client.set("agents:session:a:messages", "hello")
        elif stored == "hash":  # of the session "a:messages"
            client.hset("agents:session:a:messages", "session_id", "a:messages")
        else:
            client.rpush("agents:session:a", "hello")
    history = open_history(url, "a")
    calls: list[Callable[[], object]] = [lambda: history.sync.add_items(THREE), history.sync.clear_session]
    if stored != "session":
        calls += [history.sync.get_items, lambda: recover(url, "a"), history.sync.pop_item]
    for call in calls:
        with pytest.raises(HistoryUnusable, match=r"cannot be used: .*WRONGTYPE .*\. .* Choose another session id"):
            call()
    history.sync.close()
    with redis_server.client() as client:
        assert client.dbsize() == 1


def test_tables_with_other_columns_are_refused(postgresql_server: PostgresqlServed) -> None:
    """What somebody else calls by these names is not touched."""
    url = postgresql_server.emptied()
    postgresql_server.ask("CREATE TABLE agent_messages (id int, body text)", url=url)
    postgresql_server.ask("CREATE TABLE agent_sessions (session_id text, updated_at int)", url=url)
    history = open_history(url)
    for call in (
        history.sync.get_items,
        lambda: history.sync.add_items(THREE),
        history.sync.pop_item,
        lambda: list_sessions(url),
        lambda: recover(url, "default"),
    ):
        with pytest.raises(HistoryUnusable, match=r"column .* does not exist\. .* columns that the Agents SDK creates"):
            call()
    history.sync.close()
    assert postgresql_server.ask("SELECT * FROM agent_messages", url=url) == []


def test_an_item_that_cannot_be_stored_is_refused(postgresql_server: PostgresqlServed) -> None:
    """A user who may create no table gets the words of the server; no item is lost silently."""
    url = postgresql_server.emptied()
    postgresql_server.ask("DROP SCHEMA public", url=url)
    history = open_history(url)
    assert history.sync.get_items() == []
    with pytest.raises(HistoryUnusable, match=r"no schema has been selected to create in"):
        history.sync.add_items(THREE)
    history.sync.close()


NOT_REACHED = [
    ({"password": "s3cret-but-wrong"}, "[Pp]assword"),
    ({"database": "77777"}, r"(DB index is out of range|\"77777\" does not exist).* database"),
    ({"port": 1}, r"Connect call failed.*\. Check the address.*server runs"),
]


@pytest.mark.parametrize(("wrong", "words"), NOT_REACHED)
def test_a_server_that_cannot_be_used_is_named_without_its_password(
    server: Served, wrong: dict[str, Any], words: str
) -> None:
    """The error says where and what to do next; the password is neither in it nor in an error chained to it."""
    url = server.url(**wrong)
    history = open_history(url)
    for call in (
        history.sync.get_items,
        lambda: history.sync.add_items(THREE),
        history.sync.pop_item,
        history.sync.clear_session,
        lambda: list_sessions(url),
        lambda: recover(url),
        lambda: delete_session(url),
    ):
        with pytest.raises(HistoryUnusable, match=rf"^{re.escape(server.scheme)}://127\.0\.0\.1:.*{words}") as found:
            call()
        assert "s3cret" not in str(found.value)
        assert found.value.__context__ is found.value.__cause__ is None
    history.sync.close()


@pytest.mark.parametrize("option", ["sslmode=require", "s3cret=1"])
def test_an_unknown_option_of_the_url_is_refused(server: Served, option: str) -> None:
    """The words of the driver name it."""
    history = open_history(f"{server.url()}?{option}")
    with pytest.raises(HistoryUnusable, match=rf"'{option.partition('=')[0]}'.*options in the URL"):
        history.sync.get_items()


MALFORMED = [
    "redis://:pw-/secret@host:6379/0",
    "redis://:12/secret@host/0",
    "redis://:12?secret@host/0",
    "redis://:12#secret@host/0",
    "redis://:[secret@host/0",
    "redis://host/0?db=secret",
    "redis://host/secret",
    "postgresql+asyncpg://user:pw@secret@host/db",
    "postgresql+asyncpg://user:x@host:secret/db",
    "postgresql+unknown://user:secret@host/db",
    "postgresql://user:secret@host/db",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_and_not_quoted(url: str) -> None:
    """Which part of it is the password, nobody knows."""
    for call in (open_history, list_sessions, delete_session, recover):
        with pytest.raises(ValueError, match=r"URL|driver") as found:
            call(url)
        assert "secret" not in str(found.value)
        assert found.value.__cause__ is None


@pytest.mark.parametrize("url", ["sqlite+pysqlite:///h.db", "postgresql+unknown://user:secret@host/db"])
def test_a_driver_that_is_not_async_is_refused(url: str) -> None:
    """The scheme is named."""
    with pytest.raises(ValueError, match=re.escape(f"'{url.partition(':')[0]}' names no async driver")):
        open_history(url)


@given(password=st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: f"<{text}>"))
def test_every_password_can_be_percent_encoded_and_is_not_shown(password: str) -> None:
    """Whatever its characters, the URL is well formed, and the error has no part of it."""
    for url in ("redis://u:{}@127.0.0.1:1", "postgresql+asyncpg://u:{}@127.0.0.1:1/d"):
        history = open_history(url.format(quote(password, safe="")))
        with pytest.raises(HistoryUnusable, match="Connect call failed") as found:
            history.sync.get_items()
        assert not re.search("<|%3C", str(found.value))


@pytest.mark.parametrize("session_id", ["a\0b", "\ud800"])
def test_a_session_id_that_no_server_keeps_is_refused(url: str, session_id: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="session id"):
        open_history(url, session_id)


def test_metadata_is_refused(url: str) -> None:
    """Neither the SDK's keys nor its tables have a place for it."""
    with pytest.raises(ValueError, match="metadata"):
        open_history(url, metadata={"user": "a"})


def test_an_item_of_many_levels_can_be_read_or_is_refused(url: str) -> None:
    """Whatever is added can be read."""
    history = open_history(url)
    count = 0
    for levels in (100, 250, *range(252, 256), 400, 498, 499, 500, 990, 2000):
        item: Any = {}
        for _ in range(levels):
            item = {"a": item}
        try:
            history.sync.add_items([item])
            count += 1
        except ValueError:
            pass
        assert len(history.sync.get_items()) == count
    assert count == 9
    history.sync.close()


def test_writers_in_many_processes_wait_for_each_other(url: str, by_itself: Callable[..., str]) -> None:
    """All items of all writers are there, those of each in its order, also if all begin in an empty database."""
    by_itself("write", url, 200)
    history = open_history(url)
    items = history.sync.get_items()
    history.sync.close()
    assert len(items) == 1600
    for writer in range(history_processes.WRITERS):
        assert [item["number"] for item in items if item["writer"] == writer] == list(range(200))


def test_no_item_is_popped_twice(url: str, by_itself: Callable[..., str]) -> None:
    """Processes that pop at the same time share the items."""
    history = open_history(url)
    history.sync.add_items([{"number": number} for number in range(200)])
    popped = Counter(by_itself("pop", url, 0).split())
    assert popped == Counter(str(number) for number in range(200))
    assert history.sync.get_items() == []
    history.sync.close()


def test_a_history_works_on_both_sides_of_a_fork(url: str, by_itself: Callable[..., str]) -> None:
    """The child opens a connection of its own and leaves that of the parent alone, also when it ends."""
    by_itself("inherit", url, 3)
    history = open_history(url)
    assert [(item["writer"], item["number"]) for item in history.sync.get_items()] == [
        (writer, number) for writer in range(4) for number in range(3)
    ]
    history.sync.close()


def test_a_history_works_in_every_event_loop_and_thread(url: str) -> None:
    """A connection belongs to no loop of the caller."""
    history = open_history(url)

    async def both(number: int) -> list[dict[str, Any]]:
        await history.add_items([{"n": number}])
        return (await asyncio.gather(history.get_items(), history.get_items()))[0]

    assert asyncio.run(both(0)) == [{"n": 0}]
    assert asyncio.run(both(1)) == [{"n": 0}, {"n": 1}]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: history.sync.add_items([{"n": number}]), range(2, 40)))
    assert sorted(item["n"] for item in history.sync.get_items()) == list(range(40))
    asyncio.run(history.close())
    assert len(history.sync.get_items()) == 40
    history.sync.close()


def test_connections_are_closed(server: Served, url: str) -> None:
    """By close, and without a warning when a history is no longer used."""

    async def others() -> None:
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    gc.collect()  # what other tests have left is closed before it is counted
    run_in_background(others())
    before = server.connections()
    closed, forgotten = open_history(url), open_history(url, "forgotten")
    for history in (closed, forgotten):
        history.sync.add_items(THREE)
    assert server.connections() == before + 2
    closed.sync.close()
    del history, forgotten
    gc.collect()
    run_in_background(others())
    assert server.connections() == before
    open_history(url).sync.close()


def test_a_lost_connection_is_replaced(server: Served, url: str) -> None:
    """A server that was restarted meanwhile is asked again."""

    async def noticed() -> None:
        for _ in range(3):  # so that the loop sees what has arrived at its sockets
            await asyncio.sleep(0)

    def lose() -> None:
        server.disconnect_all()
        run_in_background(noticed())

    history = open_history(url)
    history.sync.add_items(THREE)
    lose()
    assert history.sync.get_items() == THREE
    lose()
    history.sync.add_items(THREE)
    lose()
    assert history.sync.pop_item() == THREE[2]
    assert len(history.sync.get_items()) == 5
    history.sync.close()


def test_sqlite_through_sqlalchemy_creates_nothing_and_is_loud(tmp_path: Path) -> None:
    """Any other database of SQLAlchemy works too. SQLite may hold anything in a column of texts."""
    path = tmp_path / "a@b.db"
    url = f"sqlite+aiosqlite:///{path}"
    history = open_history(url, "s")
    assert (history.sync.get_items(), history.sync.pop_item(), list_sessions(url), recover(url)) == ([], None, [], [])
    history.sync.clear_session()
    assert list(tmp_path.iterdir()) == []

    history.sync.add_items(THREE)
    with closing(SQLiteSession("s", path)) as session:
        assert asyncio.run(session.get_items()) == THREE
        asyncio.run(session.add_items([{"role": "user", "content": "hello"}]))
    assert history.sync.pop_item() == {"role": "user", "content": "hello"}
    (info,) = list_sessions(url)
    with closing(sqlite3.connect(path)) as database, database:
        ((first, last),) = database.execute("SELECT min(created_at), max(created_at) FROM agent_messages")
        database.execute("UPDATE agent_messages SET message_data = x'ff' WHERE id = 2")
        database.execute("UPDATE agent_messages SET message_data = 5 WHERE id = 3")
    assert (info.items, info.first_at, info.last_at) == (
        3,
        *(datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in (first, last)),
    )
    with pytest.raises(HistoryDamaged, match=r"id 2 .*: 'utf-8'"):
        history.sync.get_items()
    with pytest.raises(HistoryDamaged, match=r"id 3 .*: not an object"):
        history.sync.pop_item()
    assert recover(url) == [{"n": 0}]
    history.sync.close()


def test_an_answer_that_was_lost_is_not_taken_for_a_failure(postgresql_server: PostgresqlServed) -> None:
    """Whether a change was made is not known when its connection ends."""
    history = open_history(postgresql_server.emptied())
    history.sync.add_items(THREE)
    blocked = "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE NOT granted"

    async def lose() -> None:
        other = await postgresql_server.connect()
        async with other.transaction():
            await other.fetch("SELECT * FROM agent_sessions FOR UPDATE")
            adding = asyncio.ensure_future(history.add_items(THREE))
            while not await asyncio.to_thread(postgresql_server.ask, blocked):
                pass
            with pytest.raises(HistoryUnusable, match=r"closed .* may have been made: read the history before"):
                await adding
        await other.close()

    asyncio.run(lose())
    assert history.sync.get_items() == THREE
    history.sync.close()


def test_the_item_that_another_popped_meanwhile_is_not_returned(
    redis_server: RedisServed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item is looked at first; it is returned only if it is still the newest when it is removed."""
    history = open_history(redis_server.emptied())
    history.sync.add_items(THREE)
    taken: list[Any] = []

    async def read_slowly(*arguments: Any) -> list[Any]:
        items = await read_items(*arguments)
        if not taken:
            with redis_server.client() as client:
                taken.append(client.rpop("agents:session:default:messages"))
        return items

    monkeypatch.setattr(redis_kind, "read_items", read_slowly)
    assert history.sync.pop_item() == THREE[1]
    assert taken == [b'{"n":2}']
    assert history.sync.get_items() == [THREE[0]]
    history.sync.close()


@pytest.mark.parametrize(("url", "module"), [("redis://h", "redis_server"), ("a+b://h", "sqlalchemy_database")])
def test_without_the_extra_the_error_names_it(
    threadkeep: Run, monkeypatch: pytest.MonkeyPatch, url: str, module: str
) -> None:
    """A history on a server needs libraries that others do not."""
    monkeypatch.delitem(sys.modules, f"threadkeep.history.kinds.{module}", raising=False)
    for name in ("agents", "agents.extensions.memory"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ExtraMissing, match=re.escape("pip install 'threadkeep[agents]'")):
        open_history(url)
    done = threadkeep("chat", "--history", url, "--model", "m", "--base-url", "http://127.0.0.1:1/v1")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "pip install 'threadkeep[agents]'" in done.err


@pytest.mark.parametrize("driver", ["aiosqlite", "aiomysql"])
def test_without_the_driver_the_error_names_it(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    """SQLAlchemy has more of them than the extra installs."""
    monkeypatch.setitem(sys.modules, driver, None)
    scheme = {"aiosqlite": "sqlite+aiosqlite:///h", "aiomysql": "mysql+aiomysql://h/d"}[driver]
    with pytest.raises(ExtraMissing, match=f"pip install {driver}"):
        open_history(scheme)
