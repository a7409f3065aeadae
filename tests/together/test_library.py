"""The export from Python: over real HTTP, with and without an event loop, and with a caller's own client."""

import asyncio
import inspect
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, OpenAI

import threadkeep
from exports import ASSISTANT, beside, exported, served
from fake_assistants import demo_world
from threadkeep import ExportResult, ExportState, aexport, export, read, status, write
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.errors import AccessRefused, ApiGone, MalformedAddress, OutputUnusable, ServerUnreachable, UnreadableIds
from threadkeep.exporter.events import Event, ThreadEnded, ThreadsBegun
from threadkeep.storage.index import Outcome
from watched import Watched

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def fake() -> Watched:
    """Ten threads, of which the first has three pages."""
    return Watched.holding(demo_world(10, 5), demo_world(1, 230))


@pytest.fixture
def ids(fake: Watched) -> list[str]:
    """All its threads."""
    return [thread["id"] for thread in fake.snapshot()["threads"]]


def headers(fake: Watched) -> list[Mapping[str, str]]:
    """Those of everything that it was asked."""
    return [request.headers for request in fake.asked]


def own(base_url: str) -> AsyncOpenAI:
    """A caller's own client."""
    return AsyncOpenAI(base_url=base_url, api_key="sk-own", default_headers={"x-team": "archive"}, max_retries=9)


def test_an_export_from_python_is_complete_and_says_so(fake: Watched, ids: list[str], out: Path) -> None:
    """Without an event loop; ids that are given twice, or with the blanks of their file, count once."""
    told: list[Event] = []
    result: ExportResult = export([*ids, ids[0] + "\n", ""], ASSISTANT, str(out), on_event=told.append)
    assert (result.is_complete, result.ended_by, [*result.problems()], result.already_complete) == (True, None, [], 0)
    assert exported(out) == served(fake)
    assert {entry.thread_id for entry in told if isinstance(entry, ThreadEnded)} == set(ids)
    assert export(ids, ASSISTANT, out).already_complete == len(ids)


def test_a_path_is_a_file_of_ids(ids: list[str], out: Path, tmp_path: Path) -> None:
    """As the command reads it; a str is a path too, and one that is a thread's id is told how to be given."""
    listed = tmp_path / "ids.txt"
    listed.write_text("# mine\n" + "\r\n".join([*ids, *ids]))
    result = export(listed, ASSISTANT, out)
    assert result.manifest is not None
    assert result.manifest.totals.threads == len(ids)
    assert export(str(listed), ASSISTANT, out).already_complete == len(ids)
    with pytest.raises(UnreadableIds, match=r"one thread is \['thread_abc'\]"):
        export("thread_abc", ASSISTANT, out)
    listed.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableIds, match=r"ids\.txt: "):
        export(listed, ASSISTANT, out)


def test_a_file_of_ids_that_cannot_be_read_to_its_end_ends_the_export(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked, and with nothing left behind."""

    def torn(_file: object) -> Iterator[tuple[int, str]]:
        yield 1, "thread_a"
        raise OSError(5, "Input/output error")

    listed = tmp_path / "ids.txt"
    listed.write_text("thread_a")
    monkeypatch.setattr("threadkeep.serialization.id_lists._lines", torn)
    with pytest.raises(UnreadableIds, match=r"ids\.txt: Input/output error"):
        export(listed, ASSISTANT, out)
    assert list(tmp_path.iterdir()) == [listed]


def test_done_and_limit_narrow_the_list_of_this_run(fake: Watched, ids: list[str], out: Path) -> None:
    """What they leave out is not wanted, and not missed."""
    result = export(ids, ASSISTANT, out, done=[ids[0] + "\n", ids[2], "thread_of_nobody"], limit=3)
    assert result.is_complete
    assert [*exported(out)] == [ids[1], ids[3], ids[4]]
    result = export(ids, ASSISTANT, out)
    assert (result.is_complete, result.already_complete) == (True, 3)
    assert exported(out) == served(fake)


def test_done_and_drop_may_be_files_too(ids: list[str], out: Path, tmp_path: Path) -> None:
    """In any form that a list of ids may have, as for the command."""
    (tmp_path / "done.csv").write_text(
        "".join(f"{line}\n" for line in ("thread_id,user", f"{ids[0]},1", f"{ids[2]},2"))
    )
    (tmp_path / "drop.txt").write_text(f"{ids[1]}\n")
    result = export(ids[:4], ASSISTANT, out, done=tmp_path / "done.csv", drop=str(tmp_path / "drop.txt"))
    assert result.is_complete
    assert [*exported(out)] == [ids[3]]


def test_a_shard_and_a_column_are_those_of_the_command(ids: list[str], tmp_path: Path) -> None:
    """The shards together are the list, and each id is in one of them."""
    (tmp_path / "ids.csv").write_text(
        "a,b\n" + "".join(f"thread_of_{number},{one}\n" for number, one in enumerate(ids))
    )
    found = list[str]()
    for number in range(3):
        place = tmp_path / f"{number}.ndjson"
        assert export(tmp_path / "ids.csv", ASSISTANT, place, column="b", shard=(number, 3)).is_complete
        found += exported(place)
    assert sorted(found) == sorted(ids)


def test_what_is_left_over_stays_needed_until_it_is_dropped(fake: Watched, ids: list[str], out: Path) -> None:
    """And what is dropped is asked for again when it is listed again."""
    fake.sunset.after_requests(4)
    assert not export(ids[1:], ASSISTANT, out, concurrency=1).is_complete
    fake.sunset.lift()
    result = export(ids[1:6], ASSISTANT, out)
    assert (result.is_complete, result.left_over, result.outcomes["unfinished"]) == (False, 4, 4)
    assert [row.thread_id for row in result.problems()] == ids[6:]
    result = export(ids[1:6], ASSISTANT, out, drop=iter(ids[6:]))
    assert (result.is_complete, result.left_over, result.outcomes["dropped"]) == (True, 0, 4)
    assert [*result.problems()] == []
    assert export(ids, ASSISTANT, out).outcomes["complete"] == len(ids)


def test_entries_that_are_no_thread_ids_are_named_with_their_places(ids: list[str], out: Path) -> None:
    """They make the export incomplete, and are remembered nowhere."""
    result = export([ids[1], "run_1", "", ids[2], "thread_a/b"], ASSISTANT, out)
    assert (result.is_complete, result.invalid_count) == (False, 2)
    assert [(entry.place, entry.text) for entry in result.invalid] == [(2, "run_1"), (5, "thread_a/b")]
    assert export(ids[1:3], ASSISTANT, out).is_complete


def test_write_passes_its_notices_on(ids: list[str], out: Path) -> None:
    """Such as that a manifest was lost."""
    export(ids, ASSISTANT, out)
    beside(out, ".manifest.json").unlink()
    notices: list[str] = []
    write(out, on_notice=notices.append)
    assert notices == ["out.ndjson.manifest.json is lost or damaged; it is written anew from the index."]


def test_the_files_of_the_run_before_are_read_while_a_run_is_at_work(ids: list[str], out: Path) -> None:
    """And status says who is at work."""
    export(ids[:2], ASSISTANT, out)
    seen: list[tuple[set[str], ExportState]] = []

    def look(event: Event) -> None:
        if isinstance(event, ThreadEnded):
            with read(out) as saved:
                seen.append(({record.thread_id for record in saved}, status(out)))

    export(ids, ASSISTANT, out, on_event=look)
    assert len(seen) == len(ids) - 2
    for threads, state in seen:
        assert threads == set(ids[:2])
        assert state.holder is not None
        assert (state.holder.pid, state.has_store, state.is_complete) == (os.getpid(), True, False)
        assert state.manifest is not None
        assert state.manifest.totals.threads == 2


def test_a_callers_own_client_is_asked_through(fake: Watched, base_url: str, ids: list[str], out: Path) -> None:
    """With its headers and its key; it is left open, and the export goes on in the loop that runs."""

    async def app() -> bool:
        async with own(base_url) as client:
            result = await aexport(ids, ASSISTANT, out, client=client)
            return result.is_complete and not client.is_closed()

    assert asyncio.run(app())
    assert {(asked["x-team"], asked["authorization"]) for asked in headers(fake)} == {("archive", "Bearer sk-own")}
    assert exported(out) == served(fake)


def test_its_retries_are_left_out(fake: Watched, base_url: str, ids: list[str], out: Path) -> None:
    """The export's own count, and no others."""
    fake.faults = [{"match": {}, "do": {"status": 500}}]
    result = export(ids[:1], ASSISTANT, out, client=own(base_url), max_retries=0)
    assert [entry.outcome for entry in result.problems()] == [Outcome.FAILED]
    assert len(fake.requests) == 2  # once, and once more at the end


def test_without_a_loop_its_connections_end_with_the_call(base_url: str, ids: list[str], out: Path) -> None:
    """They live in the loop that ends."""
    client = own(base_url)
    assert export(ids, ASSISTANT, out, client=client).is_complete
    assert client.is_closed()


def test_what_it_lets_itself_in_with_is_told_nowhere(fake: Watched, base_url: str, ids: list[str], out: Path) -> None:
    """Also when the key stands in its headers only, and the server echoes it."""
    body = {"error": {"message": "No: Bearer s3cr3t-of-mine"}}
    fake.faults = [{"match": {}, "do": {"status": 401, "body": body}}]
    client = AsyncOpenAI(
        base_url=base_url, api_key="sk-own", default_headers={"Authorization": "Bearer s3cr3t-of-mine"}
    )
    result = export(ids, ASSISTANT, out, client=client)
    assert isinstance(result.ended_by, AccessRefused)
    assert "s3cr3t" not in str(result.ended_by) + "".join(path.read_text() for path in out.parent.glob("out*"))


def test_a_source_has_several_keys(fake: Watched, base_url: str, ids: list[str], out: Path) -> None:
    """Each is asked with."""
    source = ApiSource(base_url=base_url, keys=(Key("sk-one"), Key("sk-two")))
    assert export(ids, ASSISTANT, out, source=source).is_complete
    assert {asked["authorization"] for asked in headers(fake)} == {"Bearer sk-one", "Bearer sk-two"}


def test_the_sunset_is_a_result(fake: Watched, base_url: str, ids: list[str], out: Path) -> None:
    """What came before it is in the files, and the same call goes on when the API is back."""
    fake.sunset.after_requests(5)
    result = export(ids, ASSISTANT, out, base_url=base_url, api_key="sk-test", concurrency=1, include=["threads"])
    assert isinstance(result.ended_by, ApiGone)
    assert not result.is_complete
    fake.sunset.lift()
    assert export(ids, ASSISTANT, out, base_url=base_url, api_key="sk-test", include=("threads",)).is_complete


class Stop(BaseException):
    """Not an Exception."""


@pytest.mark.parametrize("error", [ValueError("mine"), Stop(), SystemExit(3)], ids=repr)
def test_what_the_callback_raises_ends_the_export_in_order(
    error: BaseException, fake: Watched, ids: list[str], out: Path
) -> None:
    """It is raised when the working store is closed, nothing more is reported, and the same call resumes."""
    told = []

    def listen(event: Event) -> None:
        told.append(event)
        if isinstance(event, ThreadEnded):
            raise error

    with pytest.raises(type(error)):
        export(ids, ASSISTANT, out, on_event=listen, concurrency=2)
    assert [type(event) for event in told] == [ThreadsBegun, ThreadEnded]
    assert not out.exists()
    assert beside(out, ".store").exists()
    result = export(ids, ASSISTANT, out)
    assert (result.is_complete, result.already_complete >= 1) == (True, True)
    assert exported(out) == served(fake)


@pytest.mark.parametrize("count", [0, 11])
def test_a_callback_that_raises_leaves_the_task_uncancelled(count: int, ids: list[str], out: Path) -> None:
    """An app that catches the exception goes on, also where there was nothing to do: no later await is cancelled."""

    async def app() -> int:
        with pytest.raises(ZeroDivisionError):
            await aexport(ids[:count], ASSISTANT, out, on_event=lambda _event: divmod(1, 0))
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert asyncio.run(app()) == 0


def test_a_cancelled_export_keeps_what_it_has_fetched_and_is_cancelled(
    fake: Watched, ids: list[str], out: Path
) -> None:
    """And goes on afterwards."""

    async def app() -> bool:
        task = asyncio.ensure_future(aexport(ids, ASSISTANT, out, on_event=lambda _event: cancel(), concurrency=1))
        cancel = task.cancel
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(app())
    assert not out.exists()
    assert beside(out, ".store").exists()
    assert export(ids, ASSISTANT, out).is_complete
    assert exported(out) == served(fake)


def test_in_a_running_loop_the_other_door_is_named(out: Path) -> None:
    """Rather than a word about loops alone."""

    async def app() -> None:
        export([], ASSISTANT, out)

    with pytest.raises(RuntimeError, match=r"await threadkeep\.aexport"):
        asyncio.run(app())


async def _listen(_event: Event) -> None:
    """Cannot be awaited by the export."""


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"base_url": "http://x", "source": ApiSource()}, TypeError, "source or base_url or api_key, not both"),
    ({"client": object(), "api_key": "k"}, TypeError, "client or base_url or api_key, not both"),
    ({"client": object(), "source": ApiSource()}, TypeError, "client or source, not both"),
    ({"on_event": _listen}, TypeError, "plain function"),
    ({"thread_ids": ["thread_a", None], "base_url": "http://x", "api_key": "k"}, TypeError, "None is none"),
    ({"concurrency": 0}, ValueError, "concurrency is 0: it must be 1 to 256"),
    ({"rpm": 0}, ValueError, "rpm is 0: it must be at least 1"),
    ({"max_retries": 101}, ValueError, "0 to 100"),
    ({"include": ["files"]}, ValueError, "'files' is none of threads, runs"),
    ({"assistant_id": " "}, ValueError, "assistant_id is empty"),
    ({"assistant_id": "out.ndjson"}, ValueError, "assistant_id is 'out.ndjson', a file name; the arguments are"),
    ({"assistant_id": "thread_a"}, ValueError, "assistant_id is 'thread_a', a thread's id"),
    ({"out": ""}, OutputUnusable, "does not name a file"),
    ({"base_url": "ftp://x"}, MalformedAddress, "is not an address"),
    ({"base_url": "http://x", "api_key": "two words\n"}, AccessRefused, "the key"),
    ({"thread_ids": None}, TypeError, "thread_ids must be ids or the path of a file of ids, and is NoneType"),
    ({"thread_ids": b"thread_a"}, TypeError, "and is bytes"),
    ({"thread_ids": "a\0b"}, UnreadableIds, "null"),
    ({"assistant_id": None}, TypeError, "assistant_id must be a str, and is NoneType"),
    ({"out": None}, TypeError, "out must be a str or a Path, and is NoneType"),
    ({"out": "a\0b"}, OutputUnusable, "does not name a file"),
    ({"client": AsyncOpenAI}, TypeError, "must be an AsyncOpenAI, and is type"),
    ({"source": "http://x/v1"}, TypeError, "source must be a threadkeep.ApiSource, and is str"),
    ({"base_url": 3}, TypeError, "base_url must be a str, and is int"),
    ({"api_key": lambda: "k"}, TypeError, "api_key must be a str, and is function"),
    ({"flat": "no"}, TypeError, "flat must be True or False, and is str"),
    ({"files": 1}, TypeError, "files must be True or False, and is int"),
    ({"fresh": None}, TypeError, "fresh must be True or False, and is NoneType"),
    ({"include": None}, TypeError, "include must be names, such as .*, and is NoneType"),
    ({"include": "threads"}, TypeError, "include must be names, such as .*, and is str"),
    ({"include": "threads,runs"}, TypeError, "include must be names, such as .*, and is str"),
    ({"concurrency": "8"}, TypeError, "concurrency must be a whole number, and is str"),
    ({"concurrency": 1.5}, TypeError, "concurrency must be a whole number, and is float"),
    ({"rpm": float("nan")}, TypeError, "rpm must be a whole number, and is float"),
    ({"max_retries": None}, TypeError, "max_retries must be a whole number, and is NoneType"),
    ({"on_event": 3}, TypeError, "on_event must be a function, and is int"),
    ({"fresh": True, "refresh": True}, TypeError, "give fresh or refresh, not both"),
    ({"limit": 0}, ValueError, "limit is 0: it must be at least 1"),
    ({"limit": "3"}, TypeError, "limit must be a whole number, and is str"),
    ({"done": None}, TypeError, "done must be ids or the path of a file of ids, and is NoneType"),
    ({"drop": Path("ids.txt")}, UnreadableIds, "ids.txt: No such file"),
    ({"done": "thread_a"}, UnreadableIds, r"one thread is \['thread_a'\]"),
    ({"drop": ["thread_a", 7], "base_url": "http://x", "api_key": "k"}, TypeError, "7 is none"),
]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"keys": ("sk-secret",)}, TypeError, "each of the keys must be a threadkeep.Key, and one is str"),
        ({"keys": "sk-secret"}, TypeError, "each of the keys must be"),
        ({"auth": "basic"}, ValueError, "'basic' is not a valid Auth"),
        ({"keys": (Key("sk-secret"),), "token_command": "true"}, TypeError, "keys or a token_command, not both"),
    ],
    ids=str,
)
def test_a_source_that_cannot_be_meant_is_told_without_its_keys(
    fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    """When it is made."""
    with pytest.raises(error, match=words) as raised:
        ApiSource(**fields)
    assert "secret" not in str(raised.value)


def test_the_problems_of_a_run_that_wrote_nothing_are_those_of_its_outcomes(out: Path) -> None:
    """There is no index to read them from when the first request had no answer."""
    result = export(
        ["thread_a", "thread_b"], ASSISTANT, out, base_url="http://127.0.0.1:1/v1", api_key="k", max_retries=0
    )
    assert isinstance(result.ended_by, ServerUnreachable)
    assert (result.manifest, result.outcomes["complete"]) == (None, 0)
    problems = list(result.problems())
    assert [row.thread_id for row in problems] == ["thread_a", "thread_b"]
    assert Counter(str(row.outcome) for row in problems) == +Counter(result.outcomes)
    assert any("no complete answer from http://127.0.0.1:1/v1" in (row.reason or "") for row in problems)


def test_a_closed_client_is_told_before_anything_is_written(out: Path) -> None:
    """As the one that an earlier call closed."""
    client = AsyncOpenAI(api_key="k", base_url="http://127.0.0.1:1/v1")
    asyncio.run(client.close())
    with pytest.raises(ValueError, match="client is closed"):
        export([], ASSISTANT, out, client=client)
    assert not out.exists()


def test_a_token_command_ends_with_the_call(out: Path) -> None:
    """Whoever waits no longer does not wait for it, and nothing is written."""
    source = ApiSource(base_url="http://127.0.0.1:1/v1", token_command="sleep 50")

    async def app() -> None:
        async with asyncio.timeout(0.5):
            await aexport(["thread_a"], ASSISTANT, out, source=source)

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(app(), 20))
    assert not out.exists()


def test_a_callback_that_gives_back_a_coroutine_is_told(ids: list[str], out: Path) -> None:
    """Nobody would await it."""
    with pytest.raises(TypeError, match="on_event must be a plain function"):
        export(ids, ASSISTANT, out, on_event=lambda event: _listen(event))


def test_a_sync_client_is_refused_at_both_doors(out: Path) -> None:
    """In the same words."""
    with OpenAI(api_key="k") as client:
        lent: Any = client
        with pytest.raises(TypeError, match="must be an AsyncOpenAI, and is OpenAI"):
            export([], ASSISTANT, out, client=lent)
        with pytest.raises(TypeError, match="must be an AsyncOpenAI, and is OpenAI"):
            asyncio.run(aexport([], ASSISTANT, out, client=lent))


@pytest.mark.parametrize(("arguments", "error", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_meant_is_raised(
    arguments: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    """Before anything is written."""
    usual = {"thread_ids": ["thread_a"], "assistant_id": ASSISTANT, "out": tmp_path / "out"}
    with pytest.raises(error, match=words):
        asyncio.run(aexport(**{**usual, **arguments}))
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_ids_is_not_written_over(tmp_path: Path) -> None:
    """Whatever the export is asked to do."""
    ids = tmp_path / "ids"
    ids.write_text("thread_a")
    with pytest.raises(OutputUnusable, match="take the place of the file of ids"):
        export(ids, ASSISTANT, ids, fresh=True)
    assert ids.read_text() == "thread_a"


def test_both_doors_take_the_same() -> None:
    """And have the command's defaults."""
    parameters: Callable[..., Any] = lambda door: inspect.signature(door).parameters  # noqa: E731
    assert parameters(export) == parameters(aexport)


def test_the_package_imports_neither_the_sdk_nor_the_export() -> None:
    """Until they are asked for; a name that it does not have is told as everywhere."""
    late = {"openai", "threadkeep.exporter.entrypoints", "tenacity"}
    code = f"import sys, threadkeep; print(sorted({late} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'exports'"):
        threadkeep.exports  # type: ignore[attr-defined]  # noqa: B018


def test_azures_own_client_is_asked_through(ids: list[str], out: Path, fake: Watched, base_url: str) -> None:
    """With its header and its version."""
    client = AsyncAzureOpenAI(base_url=base_url, api_key="azure-key", api_version="2024-05-01-preview")
    export(ids[:1], ASSISTANT, out, client=client, max_retries=0)
    assert {asked["api-key"] for asked in headers(fake)} == {"azure-key"}
    assert {dict(entry.query)["api-version"] for entry in fake.requests} == {"2024-05-01-preview"}


@pytest.mark.parametrize("name", ["export", "push", "validate_live"])
def test_help_of_a_plain_call_has_its_name_and_its_arguments(name: str) -> None:
    """It says of each argument what the call for an event loop says, and what differs."""
    plain, awaited = getattr(threadkeep, name), getattr(threadkeep, f"a{name}")
    assert (plain.__name__, awaited.__name__) == (name, f"a{name}")
    described = inspect.getdoc(plain) or ""
    assert described.startswith(inspect.getdoc(awaited) or "nothing")
    assert f"await a{name}(...)" in described
    assert [one for one in inspect.signature(plain).parameters if f"{one}" not in described] == []
