"""The export, over the real SDK and a canned server: every thread whole or not at all, each with its reason."""

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import strategies
from canned import HTTP
from canned_threads import NO_MESSAGE, ThreadServer, message, page, thread_of
from exporting import PATIENCE, Answering, Export, Spoiled, no_wait, threads_of
from threadkeep.api.client import PacingOptions
from threadkeep.exporter.events import ThreadEnded
from threadkeep.records.ndjson import decode
from threadkeep.storage.index import Outcome
from threadkeep.storage.session import InvalidId

pytestmark = pytest.mark.anyio


@given(threads=strategies.threads())
@settings(max_examples=60)
async def test_every_message_comes_out_once_unharmed_and_in_order(
    threads: Mapping[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The export holds each thread's messages as they were served, and nothing else."""
    export = await Export(tmp_path_factory.mktemp("export")).run(list(threads), ThreadServer(threads))
    expected = {thread_id: rows for thread_id, rows in threads.items() if rows}
    assert json.dumps(export.messages(), sort_keys=True) == json.dumps(expected, sort_keys=True)
    assert set(export.outcomes.values()) <= {Outcome.COMPLETE}
    assert set(export.outcomes) == set(threads)


async def test_threads_of_many_pages_stand_together_in_order(tmp_path: Path) -> None:
    """However many are walked at a time, a thread's lines are contiguous and in the server's order."""
    threads = threads_of(a=250, b=0, c=100, d=101, e=1, f=399)
    export = await Export(tmp_path).run(list(threads), ThreadServer(threads), concurrency=4)
    assert export.messages() == {name: rows for name, rows in threads.items() if rows}
    runs = [decode(line).thread_id for line in export.lines]
    assert sum(1 for before, after in pairwise(runs) if before != after) == 4


async def test_no_more_threads_than_allowed_are_walked_at_a_time(tmp_path: Path) -> None:
    """Concurrency is a bound on the requests in flight."""
    in_flight, most, all_there = 0, 0, asyncio.Event()
    server = ThreadServer(threads_of(**{f"n{number}": 3 for number in range(12)}))

    async def answer(request: Any) -> Any:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        if most == 3:
            all_there.set()
        await asyncio.wait_for(all_there.wait(), PATIENCE)
        in_flight -= 1
        return server(request)

    await Export(tmp_path).run(list(server.threads), answer, concurrency=3)
    assert most == 3


async def test_the_index_says_what_became_of_each_thread(tmp_path: Path) -> None:
    """In the order of the list; an event comes for each when it is safe."""
    threads = threads_of(a=250, b=0)
    export = await Export(tmp_path).run(["thread_gone", *threads], ThreadServer(threads))
    assert list(export.outcomes.items()) == [
        ("thread_gone", Outcome.MISSING),
        ("thread_a", Outcome.COMPLETE),
        ("thread_b", Outcome.COMPLETE),
    ]
    events = [event for event in export.events if isinstance(event, ThreadEnded)]
    assert {event.thread_id: (event.outcome, event.messages) for event in events} == {
        thread_id: (row.outcome, row.messages or 0) for thread_id, row in export.rows.items()
    }
    row = export.rows["thread_a"]
    assert (row.offset, row.bytes) == (0, export.paths.out.stat().st_size)
    assert (row.first_id, row.last_id) == (threads["thread_a"][0]["id"], threads["thread_a"][-1]["id"])


async def test_an_id_that_cannot_be_one_is_named_and_forgotten(tmp_path: Path) -> None:
    """It costs no request, the run is not complete for it, and the index does not know it."""
    server = ThreadServer(threads_of(a=1))
    export = await Export(tmp_path).run(["asst_1", "thread_a", "thread_a/../../files"], server)
    assert len(server.asked) == 1
    assert export.result.invalid == (InvalidId(1, "asst_1", "an assistant's id"), InvalidId(3, "thread_a/../../files"))
    assert (export.result.invalid_count, export.result.is_complete) == (2, False)
    assert export.outcomes == {"thread_a": Outcome.COMPLETE}
    assert (await export.run(["thread_a"], server)).result.is_complete


async def test_only_the_first_ids_that_cannot_be_one_are_named(tmp_path: Path) -> None:
    """All are counted: a file of something else has millions."""
    export = await Export(tmp_path).run(["a b"] * 100, ThreadServer({}))
    assert (len(export.result.invalid), export.result.invalid_count) == (20, 100)


async def test_an_id_that_the_server_calls_malformed_is_missing(tmp_path: Path) -> None:
    """The server's own check of the prefix counts as well."""
    text = "Invalid 'thread_id': 'threadless'. Expected an ID that begins with 'thread_'."
    refused = json.dumps({"error": {"message": text}}).encode()
    export = await Export(tmp_path).run(["threadless"], lambda _request: HTTP.Response(400, content=refused))
    assert export.rows["threadless"].outcome is Outcome.MISSING
    assert export.rows["threadless"].reason == text


SPOILS = {
    "truncated": lambda honest: HTTP.Response(200, content=honest.content[:-30]),
    "html": lambda _honest: HTTP.Response(200, content=b"<html>busy</html>", headers={"content-type": "text/html"}),
    "empty body": lambda _honest: HTTP.Response(200),
    "repeated page": lambda _honest: HTTP.Response(200, content=page(threads_of(a=100)["thread_a"], has_more=True)),
    "empty with has_more": lambda _honest: HTTP.Response(200, content=page([], has_more=True)),
    "another thread's": lambda _honest: HTTP.Response(200, content=page(threads_of(b=3)["thread_b"], has_more=False)),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
async def test_a_bad_page_is_asked_for_again(spoil: Any, tmp_path: Path) -> None:
    """A page that is no page, or contradicts its cursor, is a passing fault at first."""
    threads = threads_of(a=250, b=5)
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, spoil, times=2))
    assert export.messages() == threads


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
async def test_a_page_that_stays_bad_fails_its_thread_only(spoil: Any, tmp_path: Path) -> None:
    """After the last retry the thread is partial, none of it is in OUT, and the others are complete."""
    threads = threads_of(a=250, b=5)
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, spoil, times=99))
    assert export.messages() == {"thread_b": threads["thread_b"]}
    row = export.rows["thread_a"]
    assert row.outcome is Outcome.PARTIAL
    ended = {event.thread_id: event.outcome for event in export.events if isinstance(event, ThreadEnded)}
    assert ended == {"thread_a": Outcome.PARTIAL, "thread_b": Outcome.COMPLETE}
    assert export.messages(export.paths.partial) == {"thread_a": threads["thread_a"][:100]}
    assert str(row.reason).startswith("it could not be fetched to its end: ")
    assert any(words in str(row.reason) for words in ("the page after msg_thread_a_00099", "answer is", "belongs to"))
    assert export.ended_by is None


@pytest.mark.parametrize("depth", [200, 900, 940, 985, 100_000])
async def test_a_message_too_deep_to_write_fails_its_thread(depth: int, tmp_path: Path) -> None:
    """What can be read and written is exported, what cannot be is told, and the other threads go on."""
    row = json.dumps(message("thread_a", 0))[:-1] + f', "deep": {"[" * depth}{"]" * depth}}}'
    deep = HTTP.Response(200, content=f'{{"data": [{row}], "has_more": false}}'.encode())
    server = Answering(threads_of(b=2), lambda request, _: deep if thread_of(request.url) == "thread_a" else None)
    export = await Export(tmp_path).run(["thread_a", "thread_b"], server)
    assert export.messages()["thread_b"] == server.threads["thread_b"]
    assert ("thread_a" in export.messages()) == (export.outcomes["thread_a"] is Outcome.COMPLETE)
    assert depth > 200 or export.outcomes["thread_a"] is Outcome.COMPLETE
    assert depth < 100_000 or export.outcomes["thread_a"] is Outcome.FAILED


async def test_a_cursor_that_is_gone_is_no_missing_thread(tmp_path: Path) -> None:
    """A 404 about a message fails its thread; nothing says that the thread does not exist."""
    threads = threads_of(a=250, b=1)
    gone = HTTP.Response(404, content=NO_MESSAGE)
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, lambda _honest: gone, times=9))
    assert export.outcomes == {"thread_a": Outcome.PARTIAL, "thread_b": Outcome.COMPLETE}


async def test_a_thread_deleted_while_it_is_walked_keeps_its_pages_aside(tmp_path: Path) -> None:
    """What came before the deletion cannot be fetched again, so it is kept, and not in the export."""
    threads = threads_of(a=250, b=1)
    gone = HTTP.Response(
        404, content=json.dumps({"error": {"message": "No thread found with id 'thread_a'."}}).encode()
    )
    export = await Export(tmp_path).run(list(threads), Spoiled(threads, lambda _honest: gone, times=9))
    row = export.rows["thread_a"]
    assert (row.outcome, row.messages) == (Outcome.MISSING, 100)
    assert str(row.reason).startswith("it was deleted while it was fetched: No thread found")
    assert export.messages(export.paths.partial) == {"thread_a": threads["thread_a"][:100]}
    assert export.messages() == {"thread_b": threads["thread_b"]}


async def test_requests_are_paced(tmp_path: Path) -> None:
    """Every request, asked again or not, keeps to the wanted rate."""
    now, asked_at = 0.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        await no_wait(seconds)

    def answer(request: Any) -> Any:
        asked_at.append(now)
        return server(request)

    threads = threads_of(a=150)
    server = Spoiled(threads, SPOILS["truncated"], times=2)
    pace = PacingOptions(rpm=1, max_retries=2, sleep=sleep, clock=lambda: now)
    await Export(tmp_path).run(list(threads), answer, pace=pace)
    assert asked_at == pytest.approx([0, 60, 120, 180], rel=0.02)


async def test_half_of_a_character_hinders_nothing(tmp_path: Path) -> None:
    """In an error of the server, in the id of an assistant, a message or a file: no database takes it as it is."""
    threads = threads_of(a=1)
    half = {"id": "msg_\ud800", "role": "assistant", "assistant_id": "asst_\ud800"}
    threads["thread_a"][0] |= {**half, "attachments": [{"file_id": "file-\ud800", "tools": []}]}
    no = HTTP.Response(400, content=b'{"error": {"message": "no \\ud800"}}')
    server = Answering(threads, lambda request, _times: no if thread_of(request.url) == "thread_b" else None)
    export = Export(tmp_path)
    await asyncio.wait_for(export.run(["thread_a", "thread_b"], server, assistant_id="auto", files=True), PATIENCE)
    assert export.messages() == threads
    assert export.outcomes == {"thread_a": Outcome.COMPLETE, "thread_b": Outcome.FAILED}
    assert export.rows["thread_a"].assistant_id == "asst_\ud800"
    assert str(export.rows["thread_b"].reason).endswith("no \\ud800")
    await export.run([], server, assistant_id="auto", files=True)
    assert export.messages() == threads
